// Lines `first TAB second TAB value`, read and written. kkspdnn/lines.py defines what a line may be.
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

// An integer in 1..most and the TAB after it, with a sign or leading zeros. Returns a pointer past
// the TAB, or null.
[[gnu::noinline, gnu::cold]] const char* signed_integer(const char* p, std::int32_t most,
                                                        std::int32_t& found) {
  constexpr int longest = 10;  // digits of the largest int32
  if (*p == '+') ++p;          // a negative integer is out of range
  while (*p == '0') ++p;
  const char* const begin = p;
  std::uint64_t number = 0;
  for (; is_digit(*p) && p - begin < longest; ++p) number = 10 * number + (*p - '0');
  if (*p != '\t' || number < 1 || number > static_cast<std::uint64_t>(most)) return nullptr;
  found = static_cast<std::int32_t>(number);
  return p + 1;
}

const char* integer(const char* p, std::int32_t most, std::int32_t& found) {
  constexpr int longest = 10;
  const char* const begin = p;
  std::uint64_t number = 0;
  // The text ends with LF, so digits end before it does.
  for (unsigned digit; (digit = static_cast<unsigned char>(*p) - unsigned{'0'}) < 10; ++p) {
    number = 10 * number + digit;
  }
  const bool plain = p - begin <= longest && *p == '\t' && number >= 1 &&
                     number <= static_cast<std::uint64_t>(most);
  if (!plain) return signed_integer(begin, most, found);
  found = static_cast<std::int32_t>(number);
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

// A finite decimal number and the line end after it, LF or CR LF. Returns a pointer past the line
// end, or null.
template <class Real>
const char* real(const char* p, const char* end, Real& number) {
  const char* unsigned_part = p + (*p == '+' || *p == '-');
  const char* digits = unsigned_part + (*unsigned_part == '.');
  if (!is_digit(*digits)) return nullptr;  // inf and nan too, which from_chars would take
  const char* const begin = *p == '+' ? p + 1 : p;  // from_chars takes no plus sign
  const auto read = std::from_chars(begin, end, number);
  if (read.ec == std::errc::invalid_argument) return nullptr;
  if (read.ec != std::errc{} && !extreme(begin, number)) return nullptr;
  p = read.ptr;
  if (*p == '\r') ++p;
  return *p == '\n' ? p + 1 : nullptr;
}

// The number of lines before the first bad one.
template <class Real>
std::int64_t parse(const char* p, std::int64_t bytes, std::int32_t most_first,
                   std::int32_t most_second, std::int32_t* first, std::int32_t* second,
                   Real* value) {
  const char* const end = p + bytes;
  // Most files repeat one value: the same characters up to the line's end are the same number.
  const char* last = p;
  std::size_t length = 0;
  Real number = 0;
  std::int64_t line = 0;
  for (; p < end; ++line) {
    p = integer(p, most_first, first[line]);
    if (!p) break;
    p = integer(p, most_second, second[line]);
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

// The fewest digits that read back as the same number, spelled as Python's repr spells a float:
// 0.0625, 1.0, 1e-05, 1.5e+16. At most 25 characters.
template <class Real>
char* spell(char* out, Real number) {
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
  // Digit 0 stands for 10^exponent; both sides of the point have a digit.
  const int from = exponent < 0 ? exponent : 0;
  const int to = count - 1 > exponent ? count - 1 : exponent + 1;
  for (int place = from; place <= to; ++place) {
    *out++ = place >= 0 && place < count ? digits[place] : '0';
    if (place == exponent) *out++ = '.';
  }
  return out;
}

// The number of bytes written; `out` has 72 bytes for every line. `value` may be null: then it is 1
// in every line.
template <class Real>
std::int64_t write(const std::int64_t* first, const std::int64_t* second, const Real* value,
                   std::int64_t lines, char* out) {
  constexpr int longest = 20;  // characters of an int64
  char* p = out;
  for (std::int64_t line = 0; line < lines; ++line) {
    p = std::to_chars(p, p + longest, first[line]).ptr;
    *p++ = '\t';
    p = std::to_chars(p, p + longest, second[line]).ptr;
    *p++ = '\t';
    if (value) {
      p = spell(p, value[line]);
    } else {
      *p++ = '1';
    }
    *p++ = '\n';
  }
  return p - out;
}

}  // namespace

extern "C" {

std::int64_t kkspdnn_parse_float32(const char* text, std::int64_t bytes, std::int32_t most_first,
                                   std::int32_t most_second, std::int32_t* first,
                                   std::int32_t* second, float* value) {
  return parse(text, bytes, most_first, most_second, first, second, value);
}

std::int64_t kkspdnn_parse_float64(const char* text, std::int64_t bytes, std::int32_t most_first,
                                   std::int32_t most_second, std::int32_t* first,
                                   std::int32_t* second, double* value) {
  return parse(text, bytes, most_first, most_second, first, second, value);
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
