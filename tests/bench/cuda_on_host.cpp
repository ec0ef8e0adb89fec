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
#define __launch_bounds__(threads)

struct alignas(16) uint4 {
  unsigned x, y, z, w;
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
static void launch(Kernel kernel, int tiles, int blocks, int threads, Arguments... arguments) {
  gridDim = {unsigned(tiles), unsigned(blocks)};
  blockDim = {unsigned(threads), 1};
  for (int block = 0; block < tiles * blocks; ++block) {
    all = std::make_unique<std::barrier<>>(threads);
    std::vector<std::thread> running;
    for (int thread = 0; thread < threads; ++thread) {
      running.emplace_back([=] {
        threadIdx = {unsigned(thread), 0};
        blockIdx = {unsigned(block % tiles), unsigned(block / tiles)};
        kernel(arguments...);
      });
    }
    for (auto& each : running) each.join();
  }
}

extern "C" void on_host(int which, int tiles, int blocks, int threads, float* a,
                        const uint16_t* index, const float* value, float weight, const float* bias,
                        float ymax, int fan_in, int layer, int depth, int buffer, int neurons) {
  const auto kernels = {kkspdnn_hand_equal, kkspdnn_hand_fan_in};
  launch(kernels.begin()[which], tiles, blocks, threads, a, index, value, weight, bias, ymax,
         fan_in, layer, depth, buffer, neurons);
}
