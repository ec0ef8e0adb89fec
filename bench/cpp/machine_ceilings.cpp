// Peak rates of all threads together: multiply-adds from registers, reads from arrays of three
// sizes, and multiply-adds to listed elements of an array in the L1 cache. Prints four kinds of
// lines: `threads N`, `edges RATE`, `read BYTES RATE`, `listed RATE`, where BYTES is the size of the
// array of one thread and RATE is the sum over all threads, per second.

#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

typedef float Lanes __attribute__((vector_size(64)));

namespace {

constexpr int kSums = 8;
volatile float sink;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

float total(const Lanes* sums) {
  float all = 0;
  for (int s = 0; s < kSums; ++s)
    for (int lane = 0; lane < 16; ++lane) all += sums[s][lane];
  return all;
}

// A product and a sum, each rounded, as in the workunits; eight independent chains hide the
// latency.
float multiply_add(long steps) {
  Lanes sums[kSums], factor = Lanes{} + 0.999f;
  for (int s = 0; s < kSums; ++s) sums[s] = Lanes{} + float(s);
  for (long step = 0; step < steps; ++step) {
#pragma GCC unroll 8
    for (int s = 0; s < kSums; ++s) sums[s] = sums[s] * factor + factor;
  }
  return total(sums);
}

float read(const Lanes* data, long count, long times) {
  Lanes sums[kSums] = {};
  for (long time = 0; time < times; ++time) {
    for (long i = 0; i < count; i += kSums)
#pragma GCC unroll 8
      for (int s = 0; s < kSums; ++s) sums[s] += data[i + s];
    asm volatile("" ::: "memory");
  }
  return total(sums);
}

constexpr int kListed = 2048;

// A list of a column: its row numbers, in an order without a pattern, and its values.
struct List {
  uint16_t row[kListed];
  float value[kListed], sum[kListed];

  List() {
    for (int i = 0; i < kListed; ++i) {
      row[i] = static_cast<uint16_t>((i * 1021 + 77) % kListed);
      value[i] = 1.0f;
      sum[i] = 0.0f;
    }
  }
};

// The inner loop of a product of sparse matrices.
float add_listed(List& list, long times) {
  for (long time = 0; time < times; ++time) {
    for (int i = 0; i < kListed; ++i) list.sum[list.row[i]] += list.value[i] * 0.999f;
    asm volatile("" ::: "memory");
  }
  return list.sum[0];
}

// The shortest of several runs, because a ceiling is the highest rate that was reached.
template <class Body>
double seconds(Body body) {
  double best = 1e30;
  for (int repeat = 0; repeat < 7; ++repeat) {
    const double begun = now();
#pragma omp parallel
    body();
    best = std::min(best, now() - begun);
  }
  return best;
}

}  // namespace

int main() {
  const int threads = omp_get_max_threads();
  std::printf("threads %d\n", threads);
  const long steps = 20'000'000;
  const double work = double(steps) * kSums * 16 * threads;
  std::printf("edges %.6e\n", work / seconds([&] { sink = multiply_add(steps); }));
  for (const long bytes : {16L << 10, 256L << 10, 256L << 20}) {
    const long count = bytes / long(sizeof(Lanes));
    const long times = std::max(1L, (2L << 30) / bytes);
    std::vector<Lanes*> arrays(threads);
#pragma omp parallel
    {
      Lanes* mine = static_cast<Lanes*>(std::aligned_alloc(4096, bytes));
      for (long i = 0; i < count; ++i) mine[i] = Lanes{} + 1.0f;
      arrays[omp_get_thread_num()] = mine;
    }
    const double time = seconds([&] { sink = read(arrays[omp_get_thread_num()], count, times); });
    std::printf("read %ld %.6e\n", bytes, double(bytes) * times * threads / time);
    for (Lanes* each : arrays) std::free(each);
  }
  std::vector<List> lists(threads);
  const long times = 50'000;
  const double listed = double(kListed) * times * threads;
  const double time = seconds([&] { sink = add_listed(lists[omp_get_thread_num()], times); });
  std::printf("listed %.6e\n", listed / time);
}
