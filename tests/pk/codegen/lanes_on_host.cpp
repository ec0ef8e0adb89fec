// Runs kkspdnn_lanes_cuda.hpp on a CPU: the threads of a block, one after the other.
#include <cstdint>

#define KOKKOS_INLINE_FUNCTION inline
#define __CUDA_ARCH__ 900

struct Index {
  unsigned x;
};
static Index threadIdx, blockDim;

namespace Kokkos {

struct ThreadVectorRange {
  int32_t end;
  ThreadVectorRange(int, int32_t count) : end(count) {}
};

template <class Body>
void parallel_for(const ThreadVectorRange& range, const Body& body) {
  for (int32_t i = int32_t(threadIdx.x); i < range.end; i += int32_t(blockDim.x)) body(i);
}

}  // namespace Kokkos

#include HEADER

template <class T>
struct View3D {
  T* first;
  int64_t strides[3];
  T* data() const { return first; }
  int64_t stride(int dimension) const { return strides[dimension]; }
};

// y[v] = the sum of w * x[1][k + 1][v] over k < rows, minus the sum of b[1][k + 1][v] modulo 256, and
// 1000 more where that is above `most`.
extern "C" void run(int vector, int count, int rows, const float* x, const uint8_t* b, float w,
                    float most, float* y) {
  blockDim.x = unsigned(vector);
  const int64_t side = int64_t(rows + 1) * count;
  const View3D<const float> values{x, {side, count, 1}};
  const View3D<const uint8_t> counts{b, {side, count, 1}};
  for (threadIdx.x = 0; threadIdx.x < blockDim.x; ++threadIdx.x) {
    lanes::for_each<float>(0, count, [&](auto pack, const int32_t v) {
      using P = decltype(pack);
      P z = P::all(0);
      auto ones = lanes::bytes<P::width>::all(0);
      for (int k = 0; k < rows; ++k) {
        z += P::all(w) * P::load(lanes::step<1>(values, lanes::at(values, 1, 1, v), k));
        ones += lanes::bytes<P::width>::load(lanes::step<1>(counts, lanes::at(counts, 1, 1, v), k));
      }
      z = z - P::of(ones);
      z = lanes::if_greater(z, P::all(most), z + P::all(1000), z);
      z.store(y + v);
    });
  }
}
