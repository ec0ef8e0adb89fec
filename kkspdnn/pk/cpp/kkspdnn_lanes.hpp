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

// A vector of T in `Registers` SIMD registers; 0 registers hold one lane, -N the lanes of 1/N of a
// register. A larger vector has two halves, so that the compiler allocates one register for each
// leaf.
template <class T, int Registers, bool Leaf = Registers == 1 || (Registers < 0)>
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

template <class T, int Registers>
struct pack<T, Registers, true> {
  static constexpr int width = simd<T>::width / (Registers < 0 ? -Registers : 1);
  typedef T vector __attribute__((vector_size(width * sizeof(T))));
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
    if constexpr (Registers == 1) {
      widen(values, a.r);
    } else {
      for (int i = 0; i < width; ++i) a.r[i] = values[i];
    }
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
struct pack<T, 0, false> {
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

// Calls body(pack, first lane) for the lanes that fill a part of a register, from `lane` on: a half,
// a quarter and so on down to two lanes, which may be in 8 bytes.
template <class T, int Registers, class Body>
inline void narrow(const int32_t count, int32_t& lane, const Body& body) {
  if constexpr (simd<T>::width / -Registers >= 2) {
    using part = pack<T, Registers>;
    if (lane + part::width <= count) {
      body(part{}, lane);
      lane += part::width;
    }
    narrow<T, 2 * Registers>(count, lane, body);
  }
}

// Calls body(pack, first lane) for vectors of `count` lanes. The remainder after packs of `Registers`
// registers is marked as unlikely, so that g++ allocates registers for the loop over those packs.
// With Narrow, the remainder has packs of parts of a register too.
template <class T, int Registers = 4, bool Narrow = false, class Body>
inline void for_each(const int32_t count, const Body& body) {
  using wide = pack<T, Registers>;
  int32_t lane = 0;
  for (; lane + wide::width <= count; lane += wide::width) body(wide{}, lane);
  if (__builtin_expect(lane < count, 0)) {
    if constexpr (Registers == 4) {
      if (lane + pack<T, 2>::width <= count) {
        body(pack<T, 2>{}, lane);
        lane += pack<T, 2>::width;
      }
    }
    for (; lane + pack<T, 1>::width <= count; lane += pack<T, 1>::width) body(pack<T, 1>{}, lane);
    if constexpr (Narrow) narrow<T, -2>(count, lane, body);
    for (; lane < count; ++lane) body(pack<T, 0>{}, lane);
  }
}

// Appends the numbers and the values of the nonzeros of a row to two lists, and returns their
// number. The compressed registers are stored with a mask, so nothing behind a list is written.
template <class T, class I>
inline int32_t compact_one_by_one(const T* row, const int32_t count, I* numbers, T* values) {
  int32_t found = 0;
  for (int32_t i = 0; i < count; ++i) {
    const T value = row[i];
    if (value != 0) {
      numbers[found] = static_cast<I>(i);
      values[found] = value;
      ++found;
    }
  }
  return found;
}

#if defined(__AVX512BW__) && defined(__AVX512VL__)
inline __mmask16 nonzeros(const __m512 v) {
  return _mm512_cmp_ps_mask(v, _mm512_setzero_ps(), _CMP_NEQ_UQ);
}
inline __mmask16 nonzeros(const __m512d v) {
  return _mm512_cmp_pd_mask(v, _mm512_setzero_pd(), _CMP_NEQ_UQ);
}
inline void store_first(float* p, const __mmask16 first, const __mmask16 mask, const __m512 v) {
  _mm512_mask_storeu_ps(p, first, _mm512_maskz_compress_ps(mask, v));
}
inline void store_first(double* p, const __mmask16 first, const __mmask16 mask, const __m512d v) {
  _mm512_mask_storeu_pd(p, static_cast<__mmask8>(first),
                        _mm512_maskz_compress_pd(static_cast<__mmask8>(mask), v));
}
inline void store_first(uint32_t* p, const __mmask16 first, const __m512i v) {
  _mm512_mask_storeu_epi32(p, first, v);
}
inline void store_first(int32_t* p, const __mmask16 first, const __m512i v) {
  _mm512_mask_storeu_epi32(p, first, v);
}
inline void store_first(uint16_t* p, const __mmask16 first, const __m512i v) {
  _mm256_mask_storeu_epi16(p, first, _mm512_cvtepi32_epi16(v));
}
inline void store_first(int16_t* p, const __mmask16 first, const __m512i v) {
  _mm256_mask_storeu_epi16(p, first, _mm512_cvtepi32_epi16(v));
}
inline __m512 load_register(const float* p) { return _mm512_loadu_ps(p); }
inline __m512d load_register(const double* p) { return _mm512_loadu_pd(p); }

template <class T, class I>
inline int32_t compact(const T* row, const int32_t count, I* numbers, T* values) {
  const auto apart = [&](const auto* a, const auto* b) {
    const char* const first = reinterpret_cast<const char*>(a);
    const char* const second = reinterpret_cast<const char*>(b);
    return first + count * sizeof(*a) <= second || second + count * sizeof(*b) <= first;
  };
  if (count < 0 || !apart(row, numbers) || !apart(row, values) || !apart(numbers, values)) {
    return compact_one_by_one(row, count, numbers, values);
  }
  constexpr int width = 64 / sizeof(T);
  const __m512i step = _mm512_set1_epi32(width);
  __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  int32_t found = 0, i = 0;
  for (; i <= count - width; i += width) {
    const auto value = load_register(row + i);
    const __mmask16 mask = nonzeros(value);
    const int32_t number = __builtin_popcount(mask);
    const __mmask16 kept = static_cast<__mmask16>((1u << number) - 1);
    store_first(values + found, kept, mask, value);
    store_first(numbers + found, kept, _mm512_maskz_compress_epi32(mask, lane));
    lane = _mm512_add_epi32(lane, step);
    found += number;
  }
  for (; i < count; ++i) {
    if (row[i] != 0) {
      numbers[found] = static_cast<I>(i);
      values[found] = row[i];
      ++found;
    }
  }
  return found;
}
#else
template <class T, class I>
inline int32_t compact(const T* row, const int32_t count, I* numbers, T* values) {
  return compact_one_by_one(row, count, numbers, values);
}
#endif

}  // namespace lanes
