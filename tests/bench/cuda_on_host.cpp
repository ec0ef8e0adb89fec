// Runs ceiling.cu on a CPU: each thread of a block is a host thread; blocks run one after the
// other.
#include <algorithm>
#include <barrier>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#define __device__
#define __global__
#define __launch_bounds__(threads, blocks)

struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct Index {
  unsigned x, y;
};
static thread_local Index threadIdx, blockIdx;
static Index blockDim, gridDim;
static std::unique_ptr<std::barrier<>> all;
static void __syncthreads() { all->arrive_and_wait(); }
using std::min;

#include CEILING

template <class Kernel, class... Arguments>
static void launch(Kernel kernel, Index grid, Index block, Arguments... arguments) {
  gridDim = grid;
  blockDim = block;
  const unsigned threads = block.x * block.y;
  for (unsigned number = 0; number < grid.x * grid.y; ++number) {
    all = std::make_unique<std::barrier<>>(threads);
    std::vector<std::thread> running;
    for (unsigned thread = 0; thread < threads; ++thread) {
      running.emplace_back([=] {
        threadIdx = {thread % block.x, thread / block.x};
        blockIdx = {number % grid.x, number / grid.x};
        kernel(arguments...);
      });
    }
    for (auto& each : running) each.join();
  }
}

extern "C" void on_host(int which, unsigned tiles, unsigned blocks, unsigned threads,
                        unsigned neurons_at_once, float* a, const uint16_t* index,
                        const float* value, float weight, const float* bias, float ymax, int fan_in,
                        int columns, int layer, int depth, int buffer, int neurons, int width) {
  const auto kernels = {kkspdnn_hand_equal, kkspdnn_hand_fan_in};
  launch(kernels.begin()[which], {tiles, blocks}, {threads, neurons_at_once}, a, index, value,
         weight, bias, ymax, fan_in, columns, layer, depth, buffer, neurons, width);
}
