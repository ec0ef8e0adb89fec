// The checks of debug mode: indices of views and local arrays, and divisors of integers.
//
// On a CPU the first failed check of a launch is recorded, the access goes to a placeholder, and the
// launch ends as usual; `failed` then reports it. On a GPU the check prints its line and ends the
// kernel.
#pragma once

#include <Kokkos_Core.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <type_traits>

namespace kkspdnn_checks {

// Where a check is: the statement, and the array or nothing.
struct Place {
  const char* file;
  const char* workunit;
  int line;
  const char* array;
};

// Everything below belongs to one workunit: libraries of other workunits have their own.
namespace {

#if !defined(__CUDA_ARCH__)
struct Failure {
  std::atomic<bool> found{false};
  char text[2048];
};

Failure failure;

// Returns whether this is the first failed check of the launch, which may write its text.
inline bool is_first() { return !failure.found.exchange(true); }

template <class T>
T& placeholder() {
  static thread_local std::remove_const_t<T> value;
  value = T();
  return value;
}
#endif

// Forgets the failed check of the last launch.
inline void begin() {
#if !defined(__CUDA_ARCH__)
  failure.found = false;
#endif
}

// Returns the text of the failed check of this launch, after it; nullptr if there is none.
inline const char* failed() {
#if !defined(__CUDA_ARCH__)
  return failure.found ? failure.text : nullptr;
#else
  return nullptr;
#endif
}

// Returns whether no check has failed so far.
KOKKOS_INLINE_FUNCTION bool running() {
#if defined(__CUDA_ARCH__)
  return true;
#else
  return !failure.found.load(std::memory_order_relaxed);
#endif
}

KOKKOS_INLINE_FUNCTION void report_index(const Place& place, int64_t index, int dimension,
                                         int64_t extent) {
  const long long i = index, n = extent;
#if defined(__CUDA_ARCH__)
  printf("%s:%d: %s: index %lld is out of bounds for dimension %d of %s, which has extent %lld\n",
         place.file, place.line, place.workunit, i, dimension, place.array, n);
  __trap();
#else
  if (is_first())
    std::snprintf(failure.text, sizeof failure.text,
                  "check index: %s:%d: %s: index %lld is out of bounds for dimension %d of %s, "
                  "which has extent %lld",
                  place.file, place.line, place.workunit, i, dimension, place.array, n);
#endif
}

KOKKOS_INLINE_FUNCTION void report_division(const Place& place, const char* problem) {
#if defined(__CUDA_ARCH__)
  printf("%s:%d: %s: %s\n", place.file, place.line, place.workunit, problem);
  __trap();
#else
  if (is_first())
    std::snprintf(failure.text, sizeof failure.text, "check division: %s:%d: %s: %s", place.file,
                  place.line, place.workunit, problem);
#endif
}

// Returns the element of a view.
template <class V, class... I>
KOKKOS_INLINE_FUNCTION typename V::reference_type at(const Place place, const V& view,
                                                     const I... indices) {
  const int64_t values[] = {static_cast<int64_t>(indices)...};
  for (int d = 0; d < static_cast<int>(sizeof...(I)); ++d) {
    const int64_t extent = static_cast<int64_t>(view.extent(d));
    if (values[d] < 0 || values[d] >= extent) {
      report_index(place, values[d], d, extent);
#if defined(__CUDA_ARCH__)
      return *view.data();
#else
      return placeholder<typename V::value_type>();
#endif
    }
  }
  return view(static_cast<int64_t>(indices)...);
}

// Returns the element of a local array.
template <class T, std::size_t N, class I>
KOKKOS_INLINE_FUNCTION T& at(const Place place, T (&array)[N], const I index) {
  const int64_t value = static_cast<int64_t>(index);
  if (value < 0 || value >= static_cast<int64_t>(N)) {
    report_index(place, value, 0, N);
#if defined(__CUDA_ARCH__)
    return array[0];
#else
    return placeholder<T>();
#endif
  }
  return array[value];
}

// Returns whether integers can be divided. Both have the type of the quotient.
template <class T>
KOKKOS_INLINE_FUNCTION bool can_divide(const Place& place, const T left, const T right) {
  constexpr T lowest = std::numeric_limits<T>::lowest();
  if (right == 0) {
    report_division(place, "integer division or modulo by zero");
    return false;
  }
  if (std::is_signed<T>::value && left == lowest && right == static_cast<T>(-1)) {
    report_division(place, "integer division overflows: the smallest integer divided by -1");
    return false;
  }
  return true;
}

// Returns left / right.
template <class L, class R>
KOKKOS_INLINE_FUNCTION auto divide(const Place place, const L left, const R right) {
  using T = decltype(left / right);
  const T l = static_cast<T>(left), r = static_cast<T>(right);
  return can_divide(place, l, r) ? static_cast<T>(l / r) : T(0);
}

// Returns left % right.
template <class L, class R>
KOKKOS_INLINE_FUNCTION auto remainder(const Place place, const L left, const R right) {
  using T = decltype(left % right);
  const T l = static_cast<T>(left), r = static_cast<T>(right);
  return can_divide(place, l, r) ? static_cast<T>(l % r) : T(0);
}

// Returns the divisor of an atomic division. The smallest integer divided by -1 is not found.
template <class T>
KOKKOS_INLINE_FUNCTION T divisor(const Place place, const T value) {
  return can_divide(place, T(0), value) ? value : T(1);
}

// left /= right
template <class L, class R>
KOKKOS_INLINE_FUNCTION void assign_quotient(const Place place, L& left, const R right) {
  left = static_cast<L>(divide(place, left, right));
}

// left %= right
template <class L, class R>
KOKKOS_INLINE_FUNCTION void assign_remainder(const Place place, L& left, const R right) {
  left = static_cast<L>(remainder(place, left, right));
}

}  // namespace
}  // namespace kkspdnn_checks
