// Vector lanes on a GPU: a ThreadVectorRange whose lanes read and write neighbouring elements gives
// each thread of a warp four of them, a warp apart, so that what is the same for all lanes is
// loaded and computed once for four and every load is still of neighbours. The body is written once
// and instantiated for four lanes and for the single ones that are left.
#pragma once

#include <cstdint>
#include <type_traits>

namespace lanes {

constexpr int warp = 32;
constexpr int together = 4;

// One number of each of Count lanes.
template <class T, int Count>
struct pack {
  static constexpr int width = Count;
  T r[Count];

  template <class F>
  KOKKOS_INLINE_FUNCTION static pack each(const F& f) {
    pack a;
    for (int i = 0; i < Count; ++i) a.r[i] = f(i);
    return a;
  }
  KOKKOS_INLINE_FUNCTION static pack all(T value) {
    return each([&](int) { return value; });
  }
  KOKKOS_INLINE_FUNCTION static pack load(const T* p) {
    return each([&](int i) { return p[i * warp]; });
  }
  KOKKOS_INLINE_FUNCTION static pack of(const pack<uint8_t, Count>& b) {
    return each([&](int i) { return static_cast<T>(b.r[i]); });
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
    return pack<T, N>::each([&](int i) { return static_cast<T>(a.r[i] op b.r[i]); });       \
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

// `if (a OP b) x = yes;` on every lane by itself.
#define KKSPDNN_CHOOSE(name, op)                                                       \
  template <class P>                                                                   \
  KOKKOS_INLINE_FUNCTION P name(const P& a, const P& b, const P& yes, const P& no) {   \
    return P::each([&](int i) { return a.r[i] op b.r[i] ? yes.r[i] : no.r[i]; });      \
  }
KKSPDNN_CHOOSE(if_equal, ==)
KKSPDNN_CHOOSE(if_not_equal, !=)
KKSPDNN_CHOOSE(if_less, <)
KKSPDNN_CHOOSE(if_less_equal, <=)
KKSPDNN_CHOOSE(if_greater, >)
KKSPDNN_CHOOSE(if_greater_equal, >=)
#undef KKSPDNN_CHOOSE

// &view(i, j, k), in arithmetic that a loop's optimiser takes apart.
template <class V>
KOKKOS_INLINE_FUNCTION auto at(const V& view, int64_t i, int64_t j) {
  return view.data() + (i * static_cast<int64_t>(view.stride(0)) + j);
}
template <class V>
KOKKOS_INLINE_FUNCTION auto at(const V& view, int64_t i, int64_t j, int64_t k) {
  return at(view, i, k) + j * static_cast<int64_t>(view.stride(1));
}

// From an element to the one whose index of this dimension is `count` more, by one multiplication:
// the bytes from one to the next are hidden from the compiler, which would multiply by the size of
// T on its own.
template <int Dimension, class V, class T>
KOKKOS_INLINE_FUNCTION T* step(const V& view, T* from, const int64_t count) {
  using byte = std::conditional_t<std::is_const<T>::value, const char, char>;
  int64_t size = static_cast<int64_t>(view.stride(Dimension) * sizeof(T));
#if defined(__CUDA_ARCH__)
  asm("" : "+l"(size));
#endif
  return reinterpret_cast<T*>(reinterpret_cast<byte*>(from) + count * size);
}

// body(pack, first lane) until `count` lanes are done.
template <class T, class Team, class Body>
KOKKOS_INLINE_FUNCTION void for_each(const Team& team, const int32_t count, const Body& body) {
  int32_t done = 0;
#if defined(__CUDA_ARCH__)
  if (blockDim.x == warp) {
    constexpr int32_t many = together * warp;
    const int32_t lane = static_cast<int32_t>(threadIdx.x);
    for (; done + many <= count; done += many) body(pack<T, together>{}, done + lane);
  }
#endif
  Kokkos::parallel_for(Kokkos::ThreadVectorRange(team, count - done),
                       [&](const int32_t lane) { body(pack<T, 1>{}, done + lane); });
}

}  // namespace lanes
