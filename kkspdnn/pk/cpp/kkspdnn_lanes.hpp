// Vectors of lanes on a CPU: a ThreadVectorRange whose lanes access neighbouring elements runs on
// packs of SIMD registers. The body is a template that is instantiated for packs of four registers,
// of one register, and of one lane for the remainder.
#pragma once

#include <cstdint>
#include <cstring>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace lanes {

#if defined(__AVX512F__)
constexpr int register_bytes = 64;
#elif defined(__AVX__)
constexpr int register_bytes = 32;
#else
constexpr int register_bytes = 16;
#endif

template <class T>
struct simd {
  typedef T type __attribute__((vector_size(register_bytes)));
  static constexpr int width = register_bytes / sizeof(T);
};

// One byte for each lane of a pack, to count with.
template <int Width>
struct bytes {
  typedef uint8_t type __attribute__((vector_size(Width)));
  type r;

  static bytes all(uint8_t value) { return {value - type{}}; }
  static bytes load(const uint8_t* p) {
    bytes a;
    std::memcpy(&a.r, p, sizeof(type));
    return a;
  }
  bytes& operator+=(const bytes& b) {
    r += b.r;
    return *this;
  }
};

template <>
struct bytes<1> {
  uint8_t r;

  static bytes all(uint8_t value) { return {value}; }
  static bytes load(const uint8_t* p) { return {*p}; }
  bytes& operator+=(const bytes& b) {
    r = static_cast<uint8_t>(r + b.r);
    return *this;
  }
};

// Converts bytes to a register of floating-point numbers. g++ 12 compiles __builtin_convertvector
// of bytes to code that converts one element at a time.
#if defined(__AVX512F__)
inline void widen(const uint8_t* p, simd<float>::type& r) {
  const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  r = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(b));
}
inline void widen(const uint8_t* p, simd<double>::type& r) {
  const __m128i b = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  r = _mm512_cvtepi32_pd(_mm256_cvtepu8_epi32(b));
}
#elif defined(__AVX2__)
inline void widen(const uint8_t* p, simd<float>::type& r) {
  const __m128i b = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  r = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(b));
}
inline void widen(const uint8_t* p, simd<double>::type& r) {
  int32_t four;
  std::memcpy(&four, p, sizeof(four));
  r = _mm256_cvtepi32_pd(_mm_cvtepu8_epi32(_mm_cvtsi32_si128(four)));
}
#else
template <class V>
inline void widen(const uint8_t* p, V& r) {
  for (unsigned i = 0; i < sizeof(V) / sizeof(r[0]); ++i) r[i] = p[i];
}
#endif

// A vector of T in `Registers` SIMD registers; 0 registers hold one lane. It has two halves,
// so that the compiler allocates one register for each leaf.
template <class T, int Registers>
struct pack {
  using half = pack<T, Registers / 2>;
  static constexpr int width = 2 * half::width;
  half lo, hi;

  static pack all(T value) { return {half::all(value), half::all(value)}; }
  static pack load(const T* p) { return {half::load(p), half::load(p + half::width)}; }
  static pack of(const bytes<width>& b) {
    uint8_t values[width];
    std::memcpy(values, &b.r, width);
    asm("" : "+m"(values));  // through memory: g++ would extract the bytes one by one
    return of(values);
  }
  static pack of(const uint8_t* values) {
    return {half::of(values), half::of(values + half::width)};
  }
  void store(T* p) const {
    lo.store(p);
    hi.store(p + half::width);
  }
  template <class F>
  static auto map(const pack& a, const pack& b, F f) {
    return pack{half::map(a.lo, b.lo, f), half::map(a.hi, b.hi, f)};
  }
  template <class C>
  static pack choose(const pack& a, const pack& b, C c, const pack& yes, const pack& no) {
    return {half::choose(a.lo, b.lo, c, yes.lo, no.lo),
            half::choose(a.hi, b.hi, c, yes.hi, no.hi)};
  }
};

template <class T>
struct pack<T, 1> {
  using vector = typename simd<T>::type;
  static constexpr int width = simd<T>::width;
  vector r;

  static pack all(T value) { return {value - vector{}}; }
  static pack load(const T* p) {
    pack a;
    std::memcpy(&a.r, p, sizeof(vector));
    return a;
  }
  static pack of(const bytes<width>& b) {
    uint8_t values[width];
    std::memcpy(values, &b.r, width);
    return of(values);
  }
  static pack of(const uint8_t* values) {
    pack a;
    widen(values, a.r);
    return a;
  }
  void store(T* p) const { std::memcpy(p, &r, sizeof(vector)); }
  template <class F>
  static pack map(const pack& a, const pack& b, F f) {
    return {f(a.r, b.r)};
  }
  template <class C>
  static pack choose(const pack& a, const pack& b, C c, const pack& yes, const pack& no) {
    return {c(a.r, b.r) ? yes.r : no.r};
  }
};

template <class T>
struct pack<T, 0> {
  static constexpr int width = 1;
  T r;

  static pack all(T value) { return {value}; }
  static pack load(const T* p) { return {*p}; }
  static pack of(const bytes<1>& b) { return {static_cast<T>(b.r)}; }
  void store(T* p) const { *p = r; }
  template <class F>
  static pack map(const pack& a, const pack& b, F f) {
    // C++ computes with integers of one or two bytes as int.
    return {static_cast<T>(f(a.r, b.r))};
  }
  template <class C>
  static pack choose(const pack& a, const pack& b, C c, const pack& yes, const pack& no) {
    return {c(a.r, b.r) ? yes.r : no.r};
  }
};

#define KKSPDNN_ARITHMETIC(op)                                                             \
  template <class T, int N>                                                                \
  inline pack<T, N> operator op(const pack<T, N>& a, const pack<T, N>& b) {                \
    return pack<T, N>::map(a, b, [](auto x, auto y) { return x op y; });                   \
  }                                                                                        \
  template <class T, int N>                                                                \
  inline pack<T, N>& operator op##=(pack<T, N>& a, const pack<T, N>& b) {                  \
    a = a op b;                                                                            \
    return a;                                                                              \
  }
KKSPDNN_ARITHMETIC(+)
KKSPDNN_ARITHMETIC(-)
KKSPDNN_ARITHMETIC(*)
#undef KKSPDNN_ARITHMETIC

// Selects `yes` in the lanes where the comparison holds, `no` in the others.
#define KKSPDNN_CHOOSE(name, op)                                                           \
  template <class P>                                                                       \
  inline P name(const P& a, const P& b, const P& yes, const P& no) {                       \
    return P::choose(a, b, [](auto x, auto y) { return x op y; }, yes, no);                \
  }
KKSPDNN_CHOOSE(if_equal, ==)
KKSPDNN_CHOOSE(if_not_equal, !=)
KKSPDNN_CHOOSE(if_less, <)
KKSPDNN_CHOOSE(if_less_equal, <=)
KKSPDNN_CHOOSE(if_greater, >)
KKSPDNN_CHOOSE(if_greater_equal, >=)
#undef KKSPDNN_CHOOSE

// The vector of bytes for the lanes of a vector P.
template <class P>
using bytes_of = bytes<P::width>;

// Keeps the compiler from vectorizing a loop with gather instructions, which take three times as
// long as scalar loads on Zen 4.
inline void one_by_one() { asm volatile(""); }

// Calls body(pack, first lane) for vectors of `count` lanes. The remainder after packs of `Registers`
// registers is marked as unlikely, so that g++ allocates registers for the loop over those packs.
template <class T, int Registers = 4, class Body>
inline void for_each(const int32_t count, const Body& body) {
  using wide = pack<T, Registers>;
  int32_t lane = 0;
  for (; lane + wide::width <= count; lane += wide::width) body(wide{}, lane);
  if (__builtin_expect(lane < count, 0)) {
    for (; lane + pack<T, 1>::width <= count; lane += pack<T, 1>::width) body(pack<T, 1>{}, lane);
    for (; lane < count; ++lane) body(pack<T, 0>{}, lane);
  }
}

}  // namespace lanes
