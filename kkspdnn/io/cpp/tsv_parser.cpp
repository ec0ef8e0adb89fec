// Parser and writer of lines `first TAB second TAB value`, the format of kkspdnn/io/tsv_lines.py.
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <locale.h>
#include <system_error>

namespace {

bool is_digit(char c) { return static_cast<unsigned char>(c) - unsigned{'0'} < 10; }

// Parses an integer in 1..largest with a sign or leading zeros, and the TAB after it. Returns a
// pointer past the TAB, or null.
[[gnu::noinline, gnu::cold]] const char* signed_integer(const char* p, std::int32_t largest,
                                                        std::int32_t& value) {
  constexpr int max_digits = 10;  // of an int32
  if (*p == '+') ++p;             // a negative integer is out of range
  while (*p == '0') ++p;
  const char* const begin = p;
  std::uint64_t number = 0;
  for (; is_digit(*p) && p - begin < max_digits; ++p) number = 10 * number + (*p - '0');
  if (*p != '\t' || number < 1 || number > static_cast<std::uint64_t>(largest)) return nullptr;
  value = static_cast<std::int32_t>(number);
  return p + 1;
}

// Parses an integer in 1..largest and the TAB after it. Returns a pointer past the TAB, or null.
const char* integer(const char* p, std::int32_t largest, std::int32_t& value) {
  constexpr int max_digits = 10;
  const char* const begin = p;
  std::uint64_t number = 0;
  // The text ends with LF, which ends the loop.
  for (unsigned digit; (digit = static_cast<unsigned char>(*p) - unsigned{'0'}) < 10; ++p) {
    number = 10 * number + digit;
  }
  const bool plain = p - begin <= max_digits && *p == '\t' && number >= 1 &&
                     number <= static_cast<std::uint64_t>(largest);
  if (!plain) return signed_integer(begin, largest, value);
  value = static_cast<std::int32_t>(number);
  return p + 1;
}

// std::from_chars reports both overflow and underflow as out of range, and old versions report
// subnormal numbers too. strtod of the C locale rounds all of them correctly.
[[gnu::noinline, gnu::cold]] bool extreme(const char* p, float& number) {
  static const locale_t c = newlocale(LC_ALL_MASK, "C", static_cast<locale_t>(nullptr));
  number = strtof_l(p, nullptr, c);
  return std::isfinite(number);
}

[[gnu::noinline, gnu::cold]] bool extreme(const char* p, double& number) {
  static const locale_t c = newlocale(LC_ALL_MASK, "C", static_cast<locale_t>(nullptr));
  number = strtod_l(p, nullptr, c);
  return std::isfinite(number);
}

// Parses a finite decimal number and the line end after it, LF or CR LF. Returns a pointer past the
// line end, or null.
template <class Real>
const char* real(const char* p, const char* end, Real& number) {
  const char* unsigned_part = p + (*p == '+' || *p == '-');
  const char* digits = unsigned_part + (*unsigned_part == '.');
  if (!is_digit(*digits)) return nullptr;  // also for inf and nan, which from_chars accepts
  const char* const begin = *p == '+' ? p + 1 : p;  // from_chars accepts no plus sign
  const auto read = std::from_chars(begin, end, number);
  if (read.ec == std::errc::invalid_argument) return nullptr;
  if (read.ec != std::errc{} && !extreme(begin, number)) return nullptr;
  p = read.ptr;
  if (*p == '\r') ++p;
  return *p == '\n' ? p + 1 : nullptr;
}

// Parses lines up to the first invalid one. Returns the number of valid lines.
template <class Real>
std::int64_t parse(const char* p, std::int64_t bytes, std::int32_t largest_first,
                   std::int32_t largest_second, std::int32_t* first, std::int32_t* second,
                   Real* value) {
  const char* const end = p + bytes;
  // Most files repeat one value. The same characters up to the line end are the same number.
  const char* last = p;
  std::size_t length = 0;
  Real number = 0;
  std::int64_t line = 0;
  for (; p < end; ++line) {
    p = integer(p, largest_first, first[line]);
    if (!p) break;
    p = integer(p, largest_second, second[line]);
    if (!p) break;
    if (!length || static_cast<std::size_t>(end - p) < length || std::memcmp(p, last, length)) {
      const char* const after = real(p, end, number);
      if (!after) break;
      last = p;
      length = static_cast<std::size_t>(after - p);
    }
    value[line] = number;
    p += length;
  }
  return line;
}

// Writes the fewest digits that are read back as the same number, in the format of Python's repr of
// a float: 0.0625, 1.0, 1e-05, 1.5e+16. Writes at most 25 characters and returns their end.
template <class Real>
char* format(char* out, Real number) {
  char text[32];  // d.ddde+XX
  const char* const end =
      std::to_chars(text, text + sizeof text, number, std::chars_format::scientific).ptr;
  const char* p = text;
  if (*p == '-') *out++ = *p++;
  const char* const begin = p;
  char digits[20];
  int count = 0;
  for (; p < end && *p != 'e'; ++p) {
    if (*p != '.') digits[count++] = *p;
  }
  int exponent = 0;
  std::from_chars(p[1] == '+' ? p + 2 : p + 1, end, exponent);
  if (exponent < -4 || exponent >= 16) {
    std::memcpy(out, begin, static_cast<std::size_t>(end - begin));
    return out + (end - begin);
  }
  // digits[0] is the digit of 10^exponent. Both sides of the decimal point need a digit.
  const int from = exponent < 0 ? exponent : 0;
  const int to = count - 1 > exponent ? count - 1 : exponent + 1;
  for (int k = from; k <= to; ++k) {
    *out++ = k >= 0 && k < count ? digits[k] : '0';
    if (k == exponent) *out++ = '.';
  }
  return out;
}

// Writes lines to `out`, which has 72 bytes for each line. If `value` is null, writes 1 in each
// line. Returns the number of bytes written.
template <class Real>
std::int64_t write(const std::int64_t* first, const std::int64_t* second, const Real* value,
                   std::int64_t lines, char* out) {
  constexpr int max_characters = 20;  // of an int64
  char* p = out;
  for (std::int64_t line = 0; line < lines; ++line) {
    p = std::to_chars(p, p + max_characters, first[line]).ptr;
    *p++ = '\t';
    p = std::to_chars(p, p + max_characters, second[line]).ptr;
    *p++ = '\t';
    if (value) {
      p = format(p, value[line]);
    } else {
      *p++ = '1';
    }
    *p++ = '\n';
  }
  return p - out;
}

}  // namespace

extern "C" {

std::int64_t kkspdnn_parse_float32(const char* text, std::int64_t bytes, std::int32_t largest_first,
                                   std::int32_t largest_second, std::int32_t* first,
                                   std::int32_t* second, float* value) {
  return parse(text, bytes, largest_first, largest_second, first, second, value);
}

std::int64_t kkspdnn_parse_float64(const char* text, std::int64_t bytes, std::int32_t largest_first,
                                   std::int32_t largest_second, std::int32_t* first,
                                   std::int32_t* second, double* value) {
  return parse(text, bytes, largest_first, largest_second, first, second, value);
}

std::int64_t kkspdnn_write_float32(const std::int64_t* first, const std::int64_t* second,
                                   const float* value, std::int64_t lines, char* out) {
  return write(first, second, value, lines, out);
}

std::int64_t kkspdnn_write_float64(const std::int64_t* first, const std::int64_t* second,
                                   const double* value, std::int64_t lines, char* out) {
  return write(first, second, value, lines, out);
}

}  // extern "C"
