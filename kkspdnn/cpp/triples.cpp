// Lines `first TAB second TAB value LF`, read as they nearly always are: whole numbers without a
// sign, a finite value. Whatever else a line may legally or wrongly be is left to the caller.
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace {

// Past the digits at p and the `after` behind them; null where that is not a number in 1..most.
// The text ends with LF, so digits end before it does.
const char* whole_number(const char* p, char after, std::int32_t most, std::int32_t& found) {
  constexpr int longest = 10;  // digits of the largest int32
  const char* const begin = p;
  std::uint64_t number = 0;
  for (unsigned digit; (digit = static_cast<unsigned char>(*p) - unsigned{'0'}) < 10; ++p) {
    number = 10 * number + digit;
  }
  const bool sound = p - begin <= longest && *p == after && number >= 1 &&
                     number <= static_cast<std::uint64_t>(most);
  found = static_cast<std::int32_t>(number);
  return sound ? p + 1 : nullptr;
}

// The number of lines, or -1 where any of them is not of the form above, or is past `room`.
template <class Real>
std::int64_t triples(const char* p, std::int64_t bytes, std::int64_t room, std::int32_t most_first,
                     std::int32_t most_second, std::int32_t* first, std::int32_t* second,
                     Real* value) {
  const char* const end = p + bytes;
  if (bytes < 1 || end[-1] != '\n') return -1;
  // Most files repeat one value: the same characters up to the line's end are the same number.
  const char* last = p;
  std::size_t length = 0;
  Real number = 0;
  std::int64_t line = 0;
  for (; p < end; ++line) {
    if (line == room) return -1;
    p = whole_number(p, '\t', most_first, first[line]);
    if (!p) return -1;
    p = whole_number(p, '\t', most_second, second[line]);
    if (!p) return -1;
    if (!length || static_cast<std::size_t>(end - p) < length || std::memcmp(p, last, length)) {
      const auto read = std::from_chars(p, end, number);
      if (read.ec != std::errc{} || *read.ptr != '\n' || !std::isfinite(number)) return -1;
      last = p;
      length = static_cast<std::size_t>(read.ptr + 1 - p);
    }
    value[line] = number;
    p += length;
  }
  return line;
}

}  // namespace

extern "C" {

std::int64_t kkspdnn_triples_float32(const char* text, std::int64_t bytes, std::int64_t room,
                                     std::int32_t most_first, std::int32_t most_second,
                                     std::int32_t* first, std::int32_t* second, float* value) {
  return triples(text, bytes, room, most_first, most_second, first, second, value);
}

std::int64_t kkspdnn_triples_float64(const char* text, std::int64_t bytes, std::int64_t room,
                                     std::int32_t most_first, std::int32_t most_second,
                                     std::int32_t* first, std::int32_t* second, double* value) {
  return triples(text, bytes, room, most_first, most_second, first, second, value);
}

}  // extern "C"
