// A hand-written fused layer for NVIDIA GPUs.
//
// Activations are a[tile][buffer * neurons + neuron][lane], 128 rows per tile, as in the workunit.
// A warp computes one neuron of a tile at a time. Each thread computes four lanes that are a warp
// apart; their sums stay in registers for the whole fan-in. One load brings eight indices, the same
// for all lanes; then come contiguous loads of activations with an addition each. If the weights
// differ, each edge also loads and multiplies its weight. If all weights are the same power of two,
// the sum is multiplied instead, as in the workunit.
//
// Compiled with --fmad=false, like workunits, so that the values are bit-identical.
#include <cstdint>

namespace {

constexpr int warp = 32;
constexpr int lanes_per_thread = 4;
constexpr int lanes = warp * lanes_per_thread;
constexpr int indices = sizeof(uint4) / sizeof(uint16_t);

// `value` has a weight for each edge; it is null if all weights are `weight`, a power of two.
struct Layer {
  const uint16_t* index;
  const float* value;
  float weight;
  const float* bias;
  float ymax;
  int fan_in;
};

// Computes one neuron, whose edges and bias are in row `row`; x and y begin at the first lane of
// this thread.
template <bool same>
__device__ void compute(const float* x, float* y, const Layer& w, int64_t row) {
  float z[lanes_per_thread] = {};
  for (int k = 0; k < w.fan_in; k += indices) {
    const int64_t edge = row * w.fan_in + k;
    const uint4 packed = *reinterpret_cast<const uint4*>(w.index + edge);
    const unsigned pairs[] = {packed.x, packed.y, packed.z, packed.w};
#pragma unroll
    for (int e = 0; e < indices; ++e) {
      const unsigned i = e % 2 ? pairs[e / 2] >> 16 : pairs[e / 2] & 0xffff;
      const float* from = x + i * lanes;
#pragma unroll
      for (int m = 0; m < lanes_per_thread; ++m) {
        z[m] += same ? from[m * warp] : w.value[edge + e] * from[m * warp];
      }
    }
  }
#pragma unroll
  for (int m = 0; m < lanes_per_thread; ++m) {
    float v = same ? z[m] * w.weight : z[m];
    if (v != 0.0f) v += w.bias[row];
    if (v < 0.0f) v = 0.0f;
    if (v > w.ymax) v = w.ymax;
    y[m * warp] = v;
  }
}

// A block computes `depth` layers of a tile. The input is in buffer `buffer`; `layer` is the number
// of the first layer in the arrays of w. gridDim.y blocks share the neurons of a tile; it is 1 if
// depth > 1.
template <bool same>
__device__ void layers(float* a, const Layer& w, int layer, int depth, int buffer, int neurons) {
  const int thread = threadIdx.x % warp, number = threadIdx.x / warp, warps = blockDim.x / warp;
  const int64_t size = int64_t(neurons) * lanes;
  float* const tile = a + 2 * blockIdx.x * size + thread;
  const int block = (neurons + gridDim.y - 1) / gridDim.y;
  const int first = blockIdx.y * block, end = min(first + block, neurons);
  for (int step = 0; step < depth; ++step) {
    const float* x = tile + (buffer + step) % 2 * size;
    float* const y = tile + (buffer + step + 1) % 2 * size;
    // Wait for the neurons of x that other warps computed.
    if (step) __syncthreads();
    const int64_t row = int64_t(layer + step) * neurons;
    for (int n = first + number; n < end; n += warps) {
      compute<same>(x, y + int64_t(n) * lanes, w, row + n);
    }
  }
}

}  // namespace

#define KERNEL(name, same)                                                                       \
  extern "C" __global__ void __launch_bounds__(512)                                              \
      name(float* a, const uint16_t* index, const float* value, float weight, const float* bias, \
           float ymax, int fan_in, int layer, int depth, int buffer, int neurons) {              \
    layers<same>(a, {index, value, weight, bias, ymax, fan_in}, layer, depth, buffer, neurons);  \
  }

KERNEL(kkspdnn_hand_equal, true)
KERNEL(kkspdnn_hand_fan_in, false)
