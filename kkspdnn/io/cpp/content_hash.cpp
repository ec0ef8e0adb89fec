// XXH64 (github.com/Cyan4973/xxHash, doc/xxhash_spec.md) with two seeds at once, in total 128 bits.
#include <cstdint>
#include <cstring>

namespace {

using u64 = std::uint64_t;

constexpr u64 P1 = 0x9E3779B185EBCA87, P2 = 0xC2B2AE3D27D4EB4F, P3 = 0x165667B19E3779F9,
              P4 = 0x85EBCA77C2B2AE63, P5 = 0x27D4EB2F165667C5;
constexpr u64 SEEDS[2] = {0, P5};

u64 rotate(u64 x, int bits) { return x << bits | x >> (64 - bits); }

u64 mix(u64 lane, u64 word) { return rotate(lane + word * P2, 31) * P1; }

template <class Word>
u64 load(const char* p) {
  Word word;
  std::memcpy(&word, p, sizeof word);
  return word;
}

u64 finish(const u64* lane, u64 seed, u64 total, const char* p, std::int64_t bytes) {
  u64 hash = seed + P5;
  if (total >= 32) {
    hash = rotate(lane[0], 1) + rotate(lane[1], 7) + rotate(lane[2], 12) + rotate(lane[3], 18);
    for (int k = 0; k < 4; ++k) hash = (hash ^ mix(0, lane[k])) * P1 + P4;
  }
  hash += total;
  for (; bytes >= 8; p += 8, bytes -= 8) {
    hash = rotate(hash ^ mix(0, load<u64>(p)), 27) * P1 + P4;
  }
  if (bytes >= 4) {
    hash = rotate(hash ^ load<std::uint32_t>(p) * P1, 23) * P2 + P3;
    p += 4;
    bytes -= 4;
  }
  for (; bytes; ++p, --bytes) hash = rotate(hash ^ load<std::uint8_t>(p) * P5, 11) * P1;
  hash = (hash ^ hash >> 33) * P2;
  hash = (hash ^ hash >> 29) * P3;
  return hash ^ hash >> 32;
}

}  // namespace

extern "C" {

// Initializes `state`, four lanes for each seed.
void kkspdnn_hash_start(u64* state) {
  for (u64 seed : SEEDS) {
    *state++ = seed + P1 + P2;
    *state++ = seed + P2;
    *state++ = seed;
    *state++ = seed - P1;
  }
}

// Updates the state with `blocks` blocks of 32 bytes.
void kkspdnn_hash_blocks(u64* state, const char* p, std::int64_t blocks) {
  u64 a[4], b[4];
  std::memcpy(a, state, sizeof a);
  std::memcpy(b, state + 4, sizeof b);
  for (; blocks; --blocks, p += 32) {
    for (int k = 0; k < 4; ++k) {
      const u64 product = load<u64>(p + 8 * k) * P2;
      a[k] = rotate(a[k] + product, 31) * P1;
      b[k] = rotate(b[k] + product, 31) * P1;
    }
  }
  std::memcpy(state, a, sizeof a);
  std::memcpy(state + 4, b, sizeof b);
}

// Computes the two hashes of `total` bytes. The last `bytes` of them, fewer than 32, are at p.
void kkspdnn_hash_end(const u64* state, std::int64_t total, const char* p, std::int64_t bytes,
                      u64* hashes) {
  for (int k = 0; k < 2; ++k) {
    hashes[k] = finish(state + 4 * k, SEEDS[k], static_cast<u64>(total), p, bytes);
  }
}

}  // extern "C"
