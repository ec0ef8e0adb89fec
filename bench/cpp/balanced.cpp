// One balanced layer of 1024 x 1024 neurons, with 3 weights in each of 32 blocks of a neuron's
// inputs, in three storage formats; one thread, tiles of input rows. Prints lines `FORMAT RATE`,
// where RATE is the median of edges x rows per second.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <random>
#include <vector>

typedef float Lanes __attribute__((vector_size(64)));

namespace {

constexpr int kNeurons = 1024, kBlocks = 32, kSize = kNeurons / kBlocks, kKept = 3;
constexpr int kFanIn = kBlocks * kKept, kRows = 1024, kRounds = 25;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The loop of the workunit. An index counts from the start of the layer, or of the block if
// `local`; a tile has V registers of rows.
template <class Index, bool local, int V>
void fan_in(const Lanes* x, Lanes* y, const Index* index, const float* value) {
  for (int n = 0; n < kNeurons; ++n) {
    Lanes sums[V] = {};
    for (int k = 0; k < kFanIn; ++k) {
      const int i = index[n * kFanIn + k] + (local ? k / kKept * kSize : 0);
      const Lanes weight = Lanes{} + value[n * kFanIn + k];
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sums[v] += weight * x[i * V + v];
    }
    for (int v = 0; v < V; ++v) y[n * V + v] = sums[v];
  }
}

// Block after block for G neurons at a time, whose sums stay in registers. Only the first neuron
// loads the inputs of a block from beyond the L1 cache. Weights are [group][block][neuron][kept].
template <int G, int V>
void block_by_block(const Lanes* x, Lanes* y, const uint8_t* index, const float* value) {
  for (int first = 0; first < kNeurons; first += G) {
    Lanes sums[G][V] = {};
    for (int block = 0; block < kBlocks; ++block) {
      const Lanes* inputs = x + block * kSize * V;
#pragma GCC unroll 24
      for (int e = 0; e < G * kKept; ++e) {
        const Lanes weight = Lanes{} + value[e];
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) sums[e / kKept][v] += weight * inputs[index[e] * V + v];
      }
      index += G * kKept;
      value += G * kKept;
    }
    for (int g = 0; g < G; ++g)
      for (int v = 0; v < V; ++v) y[(first + g) * V + v] = sums[g][v];
  }
}

template <int V, class Layer>
void measure(const char* name, Layer layer) {
  constexpr int tiles = kRows / (16 * V), size = kNeurons * V;
  void* memory = nullptr;
  if (posix_memalign(&memory, 4096, 2 * sizeof(Lanes) * size_t(size) * tiles) != 0) std::exit(1);
  Lanes* a = static_cast<Lanes*>(memory);
  for (int i = 0; i < 2 * size * tiles; ++i) a[i] = Lanes{} + float(i % 7);
  std::vector<double> seconds;
  for (int round = 0; round < kRounds; ++round) {
    const double begun = now();
    for (int t = 0; t < tiles; ++t) layer(a + 2 * size * t, a + 2 * size * t + size);
    seconds.push_back(now() - begun);
  }
  std::nth_element(seconds.begin(), seconds.begin() + kRounds / 2, seconds.end());
  std::printf("%s %.4g\n", name, double(kNeurons) * kFanIn * kRows / seconds[kRounds / 2]);
  std::free(memory);
}

}  // namespace

int main() {
  std::mt19937 random(0);
  std::vector<uint16_t> whole(kNeurons * kFanIn);
  std::vector<uint8_t> local(kNeurons * kFanIn), grouped(kNeurons * kFanIn);
  std::vector<float> value(kNeurons * kFanIn);
  constexpr int kGroup = 8;
  for (int n = 0; n < kNeurons; ++n)
    for (int b = 0; b < kBlocks; ++b) {
      int inputs[kSize];
      std::iota(inputs, inputs + kSize, 0);
      std::shuffle(inputs, inputs + kSize, random);
      std::sort(inputs, inputs + kKept);
      for (int k = 0; k < kKept; ++k) {
        const int edge = n * kFanIn + b * kKept + k;
        whole[edge] = uint16_t(b * kSize + inputs[k]);
        local[edge] = uint8_t(inputs[k]);
        grouped[((n / kGroup * kBlocks + b) * kGroup + n % kGroup) * kKept + k] = local[edge];
        value[edge] = float(random() % 1000) / 1000;
      }
    }
  const float* v = value.data();
  measure<4>("fan-in-uint16", [&](const Lanes* x, Lanes* y) {
    fan_in<uint16_t, false, 4>(x, y, whole.data(), v);
  });
  measure<4>("fan-in-uint8-in-block", [&](const Lanes* x, Lanes* y) {
    fan_in<uint8_t, true, 4>(x, y, local.data(), v);
  });
  measure<2>("block-by-block-uint8", [&](const Lanes* x, Lanes* y) {
    block_by_block<kGroup, 2>(x, y, grouped.data(), v);
  });
}
