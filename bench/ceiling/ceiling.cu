// The fused layer written by hand for NVIDIA GPUs.
//
// Activations are a[tile][side * neurons + neuron][lane], 128 rows a tile, as the workunit has them:
// a warp computes a neuron of a tile at a time, each of its threads four lanes that are a warp
// apart, and their sums stay in registers for the whole fan-in. Eight indices come with one load,
// the same for all lanes; then there are only contiguous loads of activations and an addition each.
// A weight is loaded and multiplied edge by edge where weights differ; one that is the same power of
// two everywhere is multiplied with the sum instead, as the workunit does.
//
// Compiled with --fmad=false, as workunits are: values are the same bit for bit.
#include <cstdint>

namespace {

constexpr int warp = 32;
constexpr int together = 4;
constexpr int lanes = warp * together;
constexpr int indices = sizeof(uint4) / sizeof(uint16_t);

// `value` holds a weight for each edge; where it is null all are `weight`, a power of two.
struct Layer {
  const uint16_t* index;
  const float* value;
  float weight;
  const float* bias;
  float ymax;
  int fan_in;
};

// One neuron, whose edges and bias are in row `row`; x and y begin at this thread's first lane.
template <bool same>
__device__ void compute(const float* x, float* y, const Layer& w, int64_t row) {
  float z[together] = {};
  for (int k = 0; k < w.fan_in; k += indices) {
    const int64_t edge = row * w.fan_in + k;
    const uint4 packed = *reinterpret_cast<const uint4*>(w.index + edge);
    const unsigned pairs[] = {packed.x, packed.y, packed.z, packed.w};
#pragma unroll
    for (int e = 0; e < indices; ++e) {
      const unsigned i = e % 2 ? pairs[e / 2] >> 16 : pairs[e / 2] & 0xffff;
      const float* from = x + i * lanes;
#pragma unroll
      for (int m = 0; m < together; ++m) {
        z[m] += same ? from[m * warp] : w.value[edge + e] * from[m * warp];
      }
    }
  }
#pragma unroll
  for (int m = 0; m < together; ++m) {
    float v = same ? z[m] * w.weight : z[m];
    if (v != 0.0f) v += w.bias[row];
    if (v < 0.0f) v = 0.0f;
    if (v > w.ymax) v = w.ymax;
    y[m * warp] = v;
  }
}

// A block takes a tile through `depth` layers from `side` on, from number `layer` of those that lie
// together in the arrays of w. gridDim.y blocks share a tile's neurons, one where depth > 1.
template <bool same>
__device__ void layers(float* a, const Layer& w, int layer, int depth, int side, int neurons) {
  const int thread = threadIdx.x % warp, number = threadIdx.x / warp, warps = blockDim.x / warp;
  const int64_t size = int64_t(neurons) * lanes;
  float* const tile = a + 2 * blockIdx.x * size + thread;
  const int block = (neurons + gridDim.y - 1) / gridDim.y;
  const int first = blockIdx.y * block, end = min(first + block, neurons);
  for (int step = 0; step < depth; ++step) {
    const float* x = tile + (side + step) % 2 * size;
    float* const y = tile + (side + step + 1) % 2 * size;
    // The other warps' part of x.
    if (step) __syncthreads();
    const int64_t row = int64_t(layer + step) * neurons;
    for (int n = first + number; n < end; n += warps) {
      compute<same>(x, y + int64_t(n) * lanes, w, row + n);
    }
  }
}

}  // namespace

#define KERNEL(name, same)                                                                     \
  extern "C" __global__ void __launch_bounds__(512)                                            \
      name(float* a, const uint16_t* index, const float* value, float weight, const float* bias, \
           float ymax, int fan_in, int layer, int depth, int side, int neurons) {              \
    layers<same>(a, {index, value, weight, bias, ymax, fan_in}, layer, depth, side, neurons);  \
  }

KERNEL(kkspdnn_hand_equal, true)
KERNEL(kkspdnn_hand_fan_in, false)
