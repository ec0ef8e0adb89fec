// A hand-written fused layer for NVIDIA GPUs.
//
// Activations are a[tile][buffer * neurons + neuron][lane], as in the workunit. A thread computes
// four adjacent lanes of a neuron: blockDim.x threads, at most 32, compute the lanes of a tile, and
// blockDim.y neurons are computed at a time. A thread loads eight indices with one instruction of
// 16 bytes, and then the activations of the eight edges, 16 bytes each, before the first addition.
// It loads the next eight indices, which may be those of its next neuron, with these activations,
// so that it waits once for eight edges and not twice. With 64 registers, two blocks of 512 threads
// run on a multiprocessor. If the weights differ, each product is rounded before it is added. If
// all weights are the same power of two, the sum is multiplied instead, as in the workunit.
//
// Compiled with --fmad=false, like workunits, so that the values are bit-identical.
#include <cstdint>

namespace {

constexpr int lanes_per_thread = 4;
constexpr int edges = sizeof(uint4) / sizeof(uint16_t);

// The edges of neuron n of layer l are in row l * neurons + n of `index` and `value`. A row has
// `columns` elements, a multiple of 8; the first `fan_in` are edges. `value` is null if all weights
// are `weight`, a power of two.
struct Layer {
  const uint16_t* index;
  const float* value;
  float weight;
  const float* bias;
  float ymax;
  int fan_in, columns;
};

__device__ float4 load4(const float* p) { return *reinterpret_cast<const float4*>(p); }

// Eight indices; p is a multiple of 16 bytes.
__device__ uint4 load_indices(const uint16_t* p) { return *reinterpret_cast<const uint4*>(p); }

// The activations of neuron i for this thread; x: its activations of neuron 0; stride: bytes from a
// neuron to the next one. The product is written in PTX so that it becomes one instruction with the
// addition of x. `volatile` keeps the loads of eight edges before the additions.
__device__ float4 load_activations(const float* x, unsigned i, unsigned stride) {
#if defined(__CUDA_ARCH__)
  float4 loaded;
  uint64_t offset;
  asm("mul.wide.u32 %0, %1, %2;" : "=l"(offset) : "r"(i), "r"(stride));
  const char* const from = reinterpret_cast<const char*>(x) + offset;
  asm volatile("ld.global.v4.f32 {%0, %1, %2, %3}, [%4];"
               : "=f"(loaded.x), "=f"(loaded.y), "=f"(loaded.z), "=f"(loaded.w)
               : "l"(from)
               : "memory");
  return loaded;
#else
  return load4(x + uint64_t{i} * (stride / sizeof(float)));
#endif
}

template <bool same>
__device__ void add(float4& z, float weight, const float4& x) {
  z.x += same ? x.x : weight * x.x;
  z.y += same ? x.y : weight * x.y;
  z.z += same ? x.z : weight * x.z;
  z.w += same ? x.w : weight * x.w;
}

template <bool same>
__device__ float activate(float z, const Layer& w, float bias) {
  if (same) z *= w.weight;
  if (z != 0.0f) z += bias;
  if (z < 0.0f) z = 0.0f;
  if (z > w.ymax) z = w.ymax;
  return z;
}

// Adds eight edges to z, and loads the indices at `ahead` into `indices`. value: the weights.
template <bool same>
__device__ void add_edges(float4& z, const float* x, unsigned stride, uint4& indices,
                          const uint16_t* ahead, const float* value) {
  const unsigned pairs[] = {indices.x, indices.y, indices.z, indices.w};
  float4 loaded[edges], weights[edges / 4];
#pragma unroll
  for (int q = 0; q < edges / 4 && !same; ++q) weights[q] = load4(value + 4 * q);
#pragma unroll
  for (int e = 0; e < edges; ++e) {
    const unsigned i = e % 2 ? pairs[e / 2] >> 16 : pairs[e / 2] & 0xffff;
    loaded[e] = load_activations(x, i, stride);
  }
  indices = load_indices(ahead);
#pragma unroll
  for (int e = 0; e < edges; ++e) {
    const float4 w = same ? float4{} : weights[e / 4];
    const float four[] = {w.x, w.y, w.z, w.w};
    add<same>(z, four[e % 4], loaded[e]);
  }
}

// Computes one layer for neurons first, first + blockDim.y and so on, before `end`. row: of neuron 0
// in w; x and y: the activations of neuron 0 for this thread.
template <bool same>
__device__ void compute(const float* x, float* y, const Layer& w, int64_t row, int first, int end) {
  if (first >= end) return;
  const unsigned stride = blockDim.x * sizeof(float4);
  const int team = blockDim.y, whole = w.fan_in / edges * edges;
  const uint16_t* ahead = w.index + (row + first) * w.columns;
  uint4 indices = load_indices(ahead);
  for (int n = first; n < end; n += team) {
    const int64_t begin = (row + n) * w.columns;
    // From the last whole eight indices of this neuron to the first of the next one, if any.
    const int jump = n + team < end ? team * w.columns - (whole - edges) : 0;
    const float bias = w.bias[row + n];
    float4 z{};
    const float* value = same ? nullptr : w.value + begin;
#pragma unroll 1
    for (int left = whole; left > 0; left -= edges) {
      ahead += left > edges ? edges : jump;
      add_edges<same>(z, x, stride, indices, ahead, value);
      if (!same) value += edges;
    }
#pragma unroll 1
    for (int k = whole; k < w.fan_in; ++k) {
      const float4 loaded = load_activations(x, w.index[begin + k], stride);
      add<same>(z, same ? 0.0f : w.value[begin + k], loaded);
    }
    z.x = activate<same>(z.x, w, bias);
    z.y = activate<same>(z.y, w, bias);
    z.z = activate<same>(z.z, w, bias);
    z.w = activate<same>(z.w, w, bias);
    *reinterpret_cast<float4*>(y + int64_t{n} * (blockDim.x * lanes_per_thread)) = z;
  }
}

// A block computes `depth` layers of a tile, for `width` neurons. The input is in buffer `buffer`;
// `layer` is the number of the first layer in the arrays of w. gridDim.y blocks share the neurons
// of a tile; it is 1 if depth > 1.
template <bool same>
__device__ void layers(float* a, const Layer& w, int layer, int depth, int buffer, int neurons,
                       int width) {
  const int64_t size = int64_t{neurons} * (blockDim.x * lanes_per_thread);
  float* const tile = a + 2 * blockIdx.x * size + threadIdx.x * lanes_per_thread;
  const int first = blockIdx.y * width, end = min(first + width, neurons);
  for (int step = 0; step < depth; ++step) {
    // Wait for the neurons that other threads computed.
    if (step) __syncthreads();
    compute<same>(tile + (buffer + step) % 2 * size, tile + (buffer + step + 1) % 2 * size, w,
                  int64_t{layer + step} * neurons, first + static_cast<int>(threadIdx.y), end);
  }
}

}  // namespace

#define KERNEL(name, same)                                                                       \
  extern "C" __global__ void __launch_bounds__(512, 2)                                           \
      name(float* a, const uint16_t* index, const float* value, float weight, const float* bias, \
           float ymax, int fan_in, int columns, int layer, int depth, int buffer, int neurons,   \
           int width) {                                                                          \
    layers<same>(a, {index, value, weight, bias, ymax, fan_in, columns}, layer, depth, buffer,   \
                 neurons, width);                                                                \
  }

KERNEL(kkspdnn_hand_equal, true)
KERNEL(kkspdnn_hand_fan_in, false)
