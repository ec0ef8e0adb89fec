// The fused layer written by hand for NVIDIA GPUs.
//
// Activations are a[tile][side * neurons + neuron][lane], 32 rows a tile, as the workunit has them:
// a lane is a thread, a warp computes `together` neurons of a tile at a time, and their sums stay in
// registers for the whole fan-in. Eight indices come with one load, the same for all lanes; then
// there are only contiguous loads of activations and an addition each. A weight is loaded and
// multiplied edge by edge where weights differ; one that is the same power of two everywhere is
// multiplied with the sum instead, as the workunit does.
//
// Where the activations of a tile fit into shared memory they are copied there first, so that no
// reuse between neurons is left for the L1 cache to find.
//
// Compiled with --fmad=false, as workunits are: values are the same bit for bit.
#include <cstdint>

namespace {

constexpr int lanes = 32;
constexpr int together = 4;
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

// Neurons n to n + together - 1; x and y begin at this thread's lane.
template <bool same>
__device__ void compute(const float* x, float* y, const Layer& w, int64_t row, int n) {
  float z[together] = {};
  for (int k = 0; k < w.fan_in; k += indices) {
#pragma unroll
    for (int m = 0; m < together; ++m) {
      const int64_t edge = (row + n + m) * w.fan_in + k;
      const uint4 packed = *reinterpret_cast<const uint4*>(w.index + edge);
      const unsigned pairs[] = {packed.x, packed.y, packed.z, packed.w};
#pragma unroll
      for (int e = 0; e < indices; ++e) {
        const int i = e % 2 ? pairs[e / 2] >> 16 : pairs[e / 2] & 0xffff;
        z[m] += same ? x[i * lanes] : w.value[edge + e] * x[i * lanes];
      }
    }
  }
#pragma unroll
  for (int m = 0; m < together; ++m) {
    float v = same ? z[m] * w.weight : z[m];
    if (v != 0.0f) v += w.bias[row + n + m];
    if (v < 0.0f) v = 0.0f;
    if (v > w.ymax) v = w.ymax;
    y[(n + m) * lanes] = v;
  }
}

// A block takes a tile through `depth` layers from `side` on, from number `layer` of those that lie
// together in the arrays of w. gridDim.y blocks share a tile's neurons, one where depth > 1.
template <bool same, bool staged>
__device__ void layers(float* a, const Layer& w, int layer, int depth, int side, int neurons) {
  extern __shared__ float4 shared[];
  const int lane = threadIdx.x % lanes, warp = threadIdx.x / lanes, warps = blockDim.x / lanes;
  const int64_t size = int64_t(neurons) * lanes;
  float* const tile = a + 2 * blockIdx.x * size;
  const int block = (neurons / together + gridDim.y - 1) / gridDim.y * together;
  const int first = blockIdx.y * block, end = min(first + block, neurons);
  for (int step = 0; step < depth; ++step) {
    const float* x = tile + (side + step) % 2 * size;
    float* const y = tile + (side + step + 1) % 2 * size;
    // The other warps' part of x, and their reading of what was staged before.
    if (step) __syncthreads();
    if (staged) {
      for (int i = threadIdx.x; i < size / 4; i += blockDim.x) {
        shared[i] = reinterpret_cast<const float4*>(x)[i];
      }
      __syncthreads();
      x = reinterpret_cast<const float*>(shared);
    }
    const int64_t row = int64_t(layer + step) * neurons;
    for (int n = first + warp * together; n < end; n += warps * together) {
      compute<same>(x + lane, y + lane, w, row, n);
    }
  }
}

}  // namespace

#define KERNEL(name, same, staged, threads)                                                    \
  extern "C" __global__ void __launch_bounds__(threads)                                        \
      name(float* a, const uint16_t* index, const float* value, float weight, const float* bias, \
           float ymax, int fan_in, int layer, int depth, int side, int neurons) {              \
    layers<same, staged>(a, {index, value, weight, bias, ymax, fan_in}, layer, depth, side,    \
                         neurons);                                                             \
  }

KERNEL(kkspdnn_hand_equal, true, false, 512)
KERNEL(kkspdnn_hand_fan_in, false, false, 512)
KERNEL(kkspdnn_hand_equal_staged, true, true, 1024)
KERNEL(kkspdnn_hand_fan_in_staged, false, true, 1024)
