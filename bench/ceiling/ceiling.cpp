// The fused layer written by hand, and the speed of the core and the caches it runs on.
//
// Activations are a[tile][side * neurons + neuron][lane], 64 rows a tile, in aligned memory, as the
// workunit has them. The sums of one or two neurons of a tile stay in vector registers for their
// whole fan-in: one load of an index, then only contiguous loads of activations and an addition
// each. A weight is loaded and multiplied edge by edge where weights differ; one that is the same
// power of two everywhere is multiplied with the sum instead, as the workunit does.
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
// Eight sums: fewer would wait for each other's additions, more would leave no registers for the
// weight and the loads where there are sixteen.
constexpr int sums = lanes / width < 8 ? lanes / width : 8;
constexpr int pair = 8 / sums;

vector load(const float* p) {
  vector v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

// `value` holds a weight for each edge, or is null where all are `weight`, a power of two.
struct Layer {
  const uint16_t* index;
  const float* value;
  float weight;
  const float* bias;
};

// `many` neurons from n on.
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

// Takes all tiles of `a` through the layers, from side 0 on; the result is on side layers % 2.
// `depth` layers of a tile follow one another while it is in the cache: 1 is layer after layer,
// `layers` is depth first.
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

// Seconds in which every thread reads `bytes` of memory of its own, a multiple of 4 vectors,
// `passes` times. `memory` holds that for each thread.
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
      // For all that the compiler knows the bytes may have changed, so they are read again.
      asm volatile("" : : : "memory");
    }
    for (int i = 1; i < 4; ++i) seen[0] |= seen[i];
    const uint64_t used = seen[0][0] | seen[0][1];
    asm volatile("" : : "r"(used));
  }
  return seconds_since(begun);
}

// Seconds for `count` additions that each wait for the one before: a cycle each.
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
