// A hand-written fused layer, and measurements of the clock of a core and the bandwidth of its
// caches.
//
// Activations are a[tile][buffer * neurons + neuron][lane], 64 rows per tile, in aligned memory, as
// in the workunit. The sums of one or two neurons of a tile stay in vector registers for the whole
// fan-in. An edge is one load of an index, then contiguous loads of activations with an addition
// each. If the weights differ, each edge also loads and multiplies its weight. If all weights are
// the same power of two, the sum is multiplied instead, as in the workunit.
#include <chrono>
#include <cstdint>
#include <cstring>
#include <utility>

namespace {

#if defined(__AVX512F__)
constexpr int vector_bytes = 64;
#elif defined(__AVX__)
constexpr int vector_bytes = 32;
#else
constexpr int vector_bytes = 16;
#endif

typedef float vector __attribute__((vector_size(vector_bytes)));
typedef uint64_t bits __attribute__((vector_size(vector_bytes)));

constexpr int lanes = 64;
constexpr int width = vector_bytes / sizeof(float);
// Eight sums: with fewer, additions wait for each other; with more, sixteen vector registers are
// not enough for sums, weight and loads.
constexpr int sums = lanes / width < 8 ? lanes / width : 8;
constexpr int pair = 8 / sums;

vector load(const float* p) {
  vector v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

// `value` has a weight for each edge; it is null if all weights are `weight`, a power of two.
struct Layer {
  const uint16_t* index;
  const float* value;
  float weight;
  const float* bias;
};

// Computes `many` neurons, beginning with n.
template <int many, bool same>
inline void compute(const float* x, float* y, Layer w, int n, int fan_in, float ymax) {
  const vector zero = {}, most = zero + ymax;
  const int64_t edges = int64_t(n) * fan_in;
  for (int first = 0; first < lanes; first += sums * width) {
    vector z[many][sums] = {};
    for (int k = 0; k < fan_in; ++k) {
      for (int m = 0; m < many; ++m) {
        const int64_t edge = edges + m * fan_in + k;
        const float* from = x + int64_t(w.index[edge]) * lanes + first;
        for (int s = 0; s < sums; ++s) {
          const vector input = load(from + s * width);
          z[m][s] += same ? input : w.value[edge] * input;
        }
      }
    }
    for (int m = 0; m < many; ++m) {
      for (int s = 0; s < sums; ++s) {
        vector v = same ? w.weight * z[m][s] : z[m][s];
        v = v != zero ? v + w.bias[n + m] : v;
        v = v < zero ? zero : v;
        v = v > most ? most : v;
        std::memcpy(y + int64_t(n + m) * lanes + first + s * width, &v, sizeof v);
      }
    }
  }
}

template <bool same>
void one_layer(const float* x, float* y, Layer w, int neurons, int fan_in, float ymax) {
  int n = 0;
  for (; n + pair <= neurons; n += pair) compute<pair, same>(x, y, w, n, fan_in, ymax);
  for (; n < neurons; ++n) compute<1, same>(x, y, w, n, fan_in, ymax);
}

double seconds_since(std::chrono::steady_clock::time_point begun) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
}

}  // namespace

extern "C" int kkspdnn_vector_bytes() { return vector_bytes; }

// Computes the layers for all tiles of `a`. The input is in buffer 0; the result is in buffer 0 for
// an even number of layers, else in buffer 1. `depth` consecutive layers are computed for a tile
// while it is in the cache; `layers` computes all layers of a tile before the next tile.
extern "C" void kkspdnn_hand_layers(float* a, int64_t tiles, int neurons, int fan_in, int layers,
                                    int depth, const uint16_t* const* index,
                                    const float* const* value, const float* weight,
                                    const float* const* bias, float ymax, int threads) {
  const int64_t size = int64_t(neurons) * lanes;
  for (int begin = 0; begin < layers; begin += depth) {
    const int end = layers - begin < depth ? layers : begin + depth;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t tile = 0; tile < tiles; ++tile) {
      float *x = a + 2 * tile * size, *y = x + size;
      if (begin % 2) std::swap(x, y);
      for (int l = begin; l < end; ++l, std::swap(x, y)) {
        const auto layer = value[l] ? one_layer<false> : one_layer<true>;
        layer(x, y, {index[l], value[l], weight[l], bias[l]}, neurons, fan_in, ymax);
      }
    }
  }
}

// Returns the seconds in which each thread reads its own `bytes`, a multiple of 4 vectors, `passes`
// times. `memory` has `bytes` for each thread.
extern "C" double kkspdnn_read_seconds(const char* memory, int64_t bytes, int64_t passes,
                                       int threads) {
  const auto begun = std::chrono::steady_clock::now();
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int thread = 0; thread < threads; ++thread) {
    bits seen[4] = {};
    for (int64_t pass = 0; pass < passes; ++pass) {
      const char* p = memory + thread * bytes;
      for (const char* end = p + bytes; p < end; p += sizeof seen) {
        for (int i = 0; i < 4; ++i) {
          bits v;
          std::memcpy(&v, p + i * sizeof v, sizeof v);
          seen[i] |= v;
        }
      }
      // The compiler must assume that the bytes have changed, so the next pass reads them again.
      asm volatile("" : : : "memory");
    }
    for (int i = 1; i < 4; ++i) seen[0] |= seen[i];
    const uint64_t used = seen[0][0] | seen[0][1];
    asm volatile("" : : "r"(used));
  }
  return seconds_since(begun);
}

// Returns the seconds of `count` dependent additions, of one cycle each.
extern "C" double kkspdnn_add_seconds(int64_t count) {
  const auto begun = std::chrono::steady_clock::now();
  uint64_t sum = 0, step = 1;
  for (int64_t i = 0; i < count; i += 16) {
#pragma GCC unroll 16
    for (int j = 0; j < 16; ++j) {
      sum += step;
      asm volatile("" : "+r"(sum), "+r"(step));
    }
  }
  return seconds_since(begun);
}
