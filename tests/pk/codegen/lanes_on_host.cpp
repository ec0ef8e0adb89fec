// Runs kkspdnn_lanes_cuda.hpp on a CPU: the threads of a block, one after the other.
#include <cstdint>

#include <Kokkos_Core.hpp>

#include HEADER

template <class T>
using View3D = Kokkos::View<T***, Kokkos::LayoutRight, Kokkos::Cuda::memory_space,
                            Kokkos::MemoryTraits<Kokkos::Unmanaged>>;

// y[v] = the sum of w * x[1][k + 1][v] over k < rows, minus the sum of b[1][k + 1][v] modulo 256, and
// 1000 more where that is above `most`; wide: whether a thread may have several lanes.
template <class T>
static void run(int vector, int count, int rows, const T* x, const uint8_t* b, T w, T most, T* y,
                bool wide) {
  blockDim.x = unsigned(vector);
  const View3D<const T> values(x, 2, rows + 1, count);
  const View3D<const uint8_t> counts(b, 2, rows + 1, count);
  const bool aligned = wide && lanes::aligned<T>(values) && lanes::aligned<T>(counts);
  for (threadIdx.x = 0; threadIdx.x < blockDim.x; ++threadIdx.x) {
    lanes::for_each<T>(Kokkos::Member{}, count, aligned, [&](auto pack, const int32_t v) {
      using P = decltype(pack);
      using B = lanes::bytes_of<P>;
      constexpr bool shorter = P::width > 1;
      P z = P::all(0);
      auto ones = B::all(0);
      for (int k = 0; k < rows; ++k) {
        z += P::all(w) * P::load(lanes::step<1, shorter>(values, lanes::at(values, 1, 1, v), k));
        ones += B::load(lanes::step<1, shorter>(counts, lanes::at(counts, 1, 1, v), k));
      }
      z = z - P::of(ones);
      z = lanes::if_greater(z, P::all(most), z + P::all(1000), z);
      z.store(y + v);
    });
  }
}

extern "C" void run_float(int vector, int count, int rows, const float* x, const uint8_t* b,
                          float w, float most, float* y, int wide) {
  run(vector, count, rows, x, b, w, most, y, wide);
}

extern "C" void run_double(int vector, int count, int rows, const double* x, const uint8_t* b,
                           double w, double most, double* y, int wide) {
  run(vector, count, rows, x, b, w, most, y, wide);
}
