// Vectors of lanes on a GPU: a ThreadVectorRange whose lanes access neighbouring elements assigns
// several adjacent lanes to each thread, which loads them with one instruction of up to 16 bytes.
// Uniform values are loaded and computed once for them. The loads of a warp are coalesced. The body
// is a template that is instantiated for these vectors, and for one lane for the remainder.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace lanes {

constexpr int access_bytes = 16;

// The lanes of a thread: four, or two of double.
template <class T>
constexpr int lanes_per_thread = sizeof(T) <= 4 ? 4 : access_bytes / static_cast<int>(sizeof(T));

// `Count` elements that are loaded and stored with one instruction.
template <class T, int Count>
struct alignas(sizeof(T) * Count) chunk {
  T r[Count];
};

// A vector of `Count` adjacent lanes, in registers of one thread.
template <class T, int Count>
struct pack {
  static constexpr int width = Count;
  chunk<T, Count> r;

  template <class F>
  KOKKOS_INLINE_FUNCTION static pack generate(const F& f) {
    pack a;
#pragma unroll
    for (int i = 0; i < Count; ++i) a.r.r[i] = f(i);
    return a;
  }
  KOKKOS_INLINE_FUNCTION static pack all(T value) {
    return generate([&](int) { return value; });
  }
  KOKKOS_INLINE_FUNCTION static pack load(const T* p) {
    return {*reinterpret_cast<const chunk<T, Count>*>(p)};
  }
  KOKKOS_INLINE_FUNCTION static pack of(const pack<uint8_t, Count>& b) {
    return generate([&](int i) { return static_cast<T>(b.get(i)); });
  }
  KOKKOS_INLINE_FUNCTION T get(int i) const { return r.r[i]; }
  KOKKOS_INLINE_FUNCTION void store(T* p) const { *reinterpret_cast<chunk<T, Count>*>(p) = r; }
};

// The vector of bytes for the lanes of a vector P.
template <class P>
using bytes_of = pack<uint8_t, P::width>;

// Four bytes in one register, to count with.
template <>
struct pack<uint8_t, 4> {
  static constexpr int width = 4;
  uint32_t r;

  template <class F>
  KOKKOS_INLINE_FUNCTION static pack generate(const F& f) {
    pack a{0};
#pragma unroll
    for (int i = 0; i < 4; ++i) a.r |= uint32_t{static_cast<uint8_t>(f(i))} << (8 * i);
    return a;
  }
  KOKKOS_INLINE_FUNCTION static pack all(uint8_t value) { return {value * 0x01010101u}; }
  KOKKOS_INLINE_FUNCTION static pack load(const uint8_t* p) {
    return {*reinterpret_cast<const uint32_t*>(p)};
  }
  KOKKOS_INLINE_FUNCTION uint8_t get(int i) const { return static_cast<uint8_t>(r >> (8 * i)); }
  KOKKOS_INLINE_FUNCTION void store(uint8_t* p) const { *reinterpret_cast<uint32_t*>(p) = r; }
};

#define KKSPDNN_ARITHMETIC(op)                                                               \
  template <class T, int N>                                                                  \
  KOKKOS_INLINE_FUNCTION pack<T, N> operator op(const pack<T, N>& a, const pack<T, N>& b) {  \
    return pack<T, N>::generate([&](int i) { return static_cast<T>(a.get(i) op b.get(i)); }); \
  }                                                                                          \
  template <class T, int N>                                                                  \
  KOKKOS_INLINE_FUNCTION pack<T, N>& operator op##=(pack<T, N>& a, const pack<T, N>& b) {    \
    a = a op b;                                                                              \
    return a;                                                                                \
  }
KKSPDNN_ARITHMETIC(+)
KKSPDNN_ARITHMETIC(-)
KKSPDNN_ARITHMETIC(*)
#undef KKSPDNN_ARITHMETIC

// The sum of four bytes each modulo 256: the carry out of a byte is dropped.
KOKKOS_INLINE_FUNCTION pack<uint8_t, 4> operator+(const pack<uint8_t, 4>& a,
                                                  const pack<uint8_t, 4>& b) {
  constexpr uint32_t high = 0x80808080u;
  return {((a.r & ~high) + (b.r & ~high)) ^ ((a.r ^ b.r) & high)};
}
KOKKOS_INLINE_FUNCTION pack<uint8_t, 4>& operator+=(pack<uint8_t, 4>& a,
                                                    const pack<uint8_t, 4>& b) {
  a = a + b;
  return a;
}

// Selects `yes` in the lanes where the comparison holds, `no` in the others.
#define KKSPDNN_CHOOSE(name, op)                                                            \
  template <class P>                                                                        \
  KOKKOS_INLINE_FUNCTION P name(const P& a, const P& b, const P& yes, const P& no) {        \
    return P::generate([&](int i) { return a.get(i) op b.get(i) ? yes.get(i) : no.get(i); }); \
  }
KKSPDNN_CHOOSE(if_equal, ==)
KKSPDNN_CHOOSE(if_not_equal, !=)
KKSPDNN_CHOOSE(if_less, <)
KKSPDNN_CHOOSE(if_less_equal, <=)
KKSPDNN_CHOOSE(if_greater, >)
KKSPDNN_CHOOSE(if_greater_equal, >=)
#undef KKSPDNN_CHOOSE

// `Count` consecutive elements with the same address in all lanes, loaded with instructions of 16
// bytes.
template <class T, int Count>
struct row {
  static constexpr int bytes = Count * static_cast<int>(sizeof(T));
  static constexpr int alignment = bytes < access_bytes ? bytes : access_bytes;
  static_assert(bytes % alignment == 0 && alignment % 4 == 0);
  uint32_t words[bytes / 4];

  KOKKOS_INLINE_FUNCTION static row load(const T* p) {
    row a;
    constexpr int words_per_load = alignment / 4;
#pragma unroll
    for (int c = 0; c < bytes / alignment; ++c) {
      const auto part = reinterpret_cast<const chunk<uint32_t, words_per_load>*>(p)[c];
#pragma unroll
      for (int i = 0; i < words_per_load; ++i) a.words[words_per_load * c + i] = part.r[i];
    }
    return a;
  }
  KOKKOS_INLINE_FUNCTION T operator[](const int i) const {
    T value;
    if constexpr (sizeof(T) >= 4) {
      std::memcpy(&value, reinterpret_cast<const char*>(words) + i * sizeof(T), sizeof(T));
    } else {
      constexpr int per_word = 4 / sizeof(T);
      value = static_cast<T>(words[i / per_word] >> (i % per_word * 8 * sizeof(T)));
    }
    return value;
  }
};

// Whether `row::load` may load from p.
template <int Count, class T>
KOKKOS_INLINE_FUNCTION bool aligned_row(const T* p) {
  return reinterpret_cast<uintptr_t>(p) % row<std::remove_const_t<T>, Count>::alignment == 0;
}

// Whether `row::load` may load from the beginning of all rows of the last dimension.
template <int Count, class V>
KOKKOS_INLINE_FUNCTION bool aligned_rows(const V& view) {
  using T = std::remove_const_t<typename V::value_type>;
  const uint64_t size = V::rank == 1 ? 0 : view.extent(V::rank - 1) * sizeof(T);
  return aligned_row<Count>(view.data()) && size % row<T, Count>::alignment == 0;
}

// &view(i, j, k), written as arithmetic that the compiler can split into invariant and varying
// terms.
template <class V>
KOKKOS_INLINE_FUNCTION auto at(const V& view, int64_t i, int64_t j) {
  return view.data() + (i * static_cast<int64_t>(view.stride(0)) + j);
}
template <class V>
KOKKOS_INLINE_FUNCTION auto at(const V& view, int64_t i, int64_t j, int64_t k) {
  return at(view, i, k) + j * static_cast<int64_t>(view.stride(1));
}

// The address of the element `count` strides of a dimension past `from`, with one multiplication:
// the stride in bytes is opaque to the compiler, which would otherwise multiply by the size of T in
// a second instruction. Short: the stride of the dimension before the last has at most 32 bits.
template <int Dimension, bool Short, class V, class T>
KOKKOS_INLINE_FUNCTION T* step(const V& view, T* from, const int64_t count) {
  using byte = std::conditional_t<std::is_const<T>::value, const char, char>;
  using integer = std::conditional_t<Short && Dimension + 2 == V::rank, uint32_t, int64_t>;
  auto size = static_cast<integer>(view.stride(Dimension) * sizeof(T));
#if defined(__CUDA_ARCH__)
  if constexpr (sizeof(size) == 4) {
    asm("" : "+r"(size));
  } else {
    asm("" : "+l"(size));
  }
#endif
  return reinterpret_cast<T*>(reinterpret_cast<byte*>(from) + count * int64_t{size});
}

// Whether a thread may load the lanes of vectors of T from a view with one instruction, and a row of
// lanes has fewer than 2^32 bytes.
template <class T, class V>
KOKKOS_INLINE_FUNCTION bool aligned(const V& view) {
  constexpr auto size = sizeof(typename V::value_type);
  const uint64_t row = V::rank == 1 ? 0 : view.extent(V::rank - 1) * size;
  const auto bits = reinterpret_cast<uintptr_t>(view.data()) | row;
  return bits % (lanes_per_thread<T> * size) == 0 && row >> 32 == 0;
}

// Calls body(pack, first lane) for vectors of `count` lanes; aligned: of all views that the body
// accesses in lanes.
template <class T, class Team, class Body>
KOKKOS_INLINE_FUNCTION void for_each(const Team& team, const int32_t count, const bool aligned,
                                     const Body& body) {
  int32_t done = 0;
#if defined(__CUDA_ARCH__)
  if (aligned) {
    constexpr int32_t own = lanes_per_thread<T>;
    const int32_t lanes = own * static_cast<int32_t>(blockDim.x);
    const int32_t lane = own * static_cast<int32_t>(threadIdx.x);
    for (; done + lanes <= count; done += lanes) body(pack<T, own>{}, done + lane);
    // Kokkos would synchronize the threads of the vector, with a mask that needs a division.
    if (done == count) return;
  }
#endif
  Kokkos::parallel_for(Kokkos::ThreadVectorRange(team, count - done),
                       [&](const int32_t lane) { body(pack<T, 1>{}, done + lane); });
}

// The registers of a thread of a kernel. Since Kokkos 4.2 the function has the device as argument.
template <class Launch>
auto registers(int) -> decltype(Launch::get_cuda_func_attributes().numRegs) {
  return Launch::get_cuda_func_attributes().numRegs;
}
template <class Launch>
auto registers(long) -> decltype(Launch::get_cuda_func_attributes(0).numRegs) {
  int device = 0;
  cudaGetDevice(&device);
  return Launch::get_cuda_func_attributes(device).numRegs;
}

}  // namespace lanes
