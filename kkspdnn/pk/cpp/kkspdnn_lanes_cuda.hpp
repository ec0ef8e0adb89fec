// Vectors of lanes on a GPU: a ThreadVectorRange whose lanes access neighbouring elements assigns
// four lanes to each thread of a warp, 32 lanes apart. Uniform values are loaded and computed once
// for the four lanes, and the loads of a warp are coalesced. The body is a template that is
// instantiated for four lanes and for one lane, for the remainder.
#pragma once

#include <cstdint>
#include <type_traits>

namespace lanes {

constexpr int warp = 32;
constexpr int lanes_per_thread = 4;

// A vector of `Count` lanes, in registers of one thread.
template <class T, int Count>
struct pack {
  static constexpr int width = Count;
  T r[Count];

  template <class F>
  KOKKOS_INLINE_FUNCTION static pack generate(const F& f) {
    pack a;
    for (int i = 0; i < Count; ++i) a.r[i] = f(i);
    return a;
  }
  KOKKOS_INLINE_FUNCTION static pack all(T value) {
    return generate([&](int) { return value; });
  }
  KOKKOS_INLINE_FUNCTION static pack load(const T* p) {
    return generate([&](int i) { return p[i * warp]; });
  }
  KOKKOS_INLINE_FUNCTION static pack of(const pack<uint8_t, Count>& b) {
    return generate([&](int i) { return static_cast<T>(b.r[i]); });
  }
  KOKKOS_INLINE_FUNCTION void store(T* p) const {
    for (int i = 0; i < Count; ++i) p[i * warp] = r[i];
  }
};

template <int Count>
using bytes = pack<uint8_t, Count>;

#define KKSPDNN_ARITHMETIC(op)                                                              \
  template <class T, int N>                                                                 \
  KOKKOS_INLINE_FUNCTION pack<T, N> operator op(const pack<T, N>& a, const pack<T, N>& b) { \
    return pack<T, N>::generate([&](int i) { return static_cast<T>(a.r[i] op b.r[i]); });       \
  }                                                                                         \
  template <class T, int N>                                                                 \
  KOKKOS_INLINE_FUNCTION pack<T, N>& operator op##=(pack<T, N>& a, const pack<T, N>& b) {   \
    a = a op b;                                                                             \
    return a;                                                                               \
  }
KKSPDNN_ARITHMETIC(+)
KKSPDNN_ARITHMETIC(-)
KKSPDNN_ARITHMETIC(*)
#undef KKSPDNN_ARITHMETIC

// Selects `yes` in the lanes where the comparison holds, `no` in the others.
#define KKSPDNN_CHOOSE(name, op)                                                       \
  template <class P>                                                                   \
  KOKKOS_INLINE_FUNCTION P name(const P& a, const P& b, const P& yes, const P& no) {   \
    return P::generate([&](int i) { return a.r[i] op b.r[i] ? yes.r[i] : no.r[i]; });      \
  }
KKSPDNN_CHOOSE(if_equal, ==)
KKSPDNN_CHOOSE(if_not_equal, !=)
KKSPDNN_CHOOSE(if_less, <)
KKSPDNN_CHOOSE(if_less_equal, <=)
KKSPDNN_CHOOSE(if_greater, >)
KKSPDNN_CHOOSE(if_greater_equal, >=)
#undef KKSPDNN_CHOOSE

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
// a second instruction.
template <int Dimension, class V, class T>
KOKKOS_INLINE_FUNCTION T* step(const V& view, T* from, const int64_t count) {
  using byte = std::conditional_t<std::is_const<T>::value, const char, char>;
  int64_t size = static_cast<int64_t>(view.stride(Dimension) * sizeof(T));
#if defined(__CUDA_ARCH__)
  asm("" : "+l"(size));
#endif
  return reinterpret_cast<T*>(reinterpret_cast<byte*>(from) + count * size);
}

// Calls body(pack, first lane) for vectors of `count` lanes.
template <class T, class Team, class Body>
KOKKOS_INLINE_FUNCTION void for_each(const Team& team, const int32_t count, const Body& body) {
  int32_t done = 0;
#if defined(__CUDA_ARCH__)
  if (blockDim.x == warp) {
    constexpr int32_t lanes = lanes_per_thread * warp;
    const int32_t lane = static_cast<int32_t>(threadIdx.x);
    for (; done + lanes <= count; done += lanes) body(pack<T, lanes_per_thread>{}, done + lane);
  }
#endif
  Kokkos::parallel_for(Kokkos::ThreadVectorRange(team, count - done),
                       [&](const int32_t lane) { body(pack<T, 1>{}, done + lane); });
}

}  // namespace lanes
