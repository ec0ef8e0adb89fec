// SpGEMM of Kokkos Kernels for each layer, as in KK-SpDNN (Ellis and Rajamanickam, HPEC 2019):
// symbolic, numeric, then bias and ReLU, which drop the values that are not positive.
//
// The library that this one is linked against has started Kokkos.

#include <KokkosKernels_Handle.hpp>
#include <KokkosSparse_CrsMatrix.hpp>
#include <KokkosSparse_spgemm.hpp>
#include <Kokkos_Core.hpp>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <vector>

namespace {

using Space = Kokkos::DefaultHostExecutionSpace;
using Device = Kokkos::Device<Space, Space::memory_space>;
using Matrix = KokkosSparse::CrsMatrix<float, int, Device, void, int>;
using Handle = KokkosKernels::Experimental::KokkosKernelsHandle<int, int, float, Space, Space::memory_space,
                                                                Space::memory_space>;
using Policy = Kokkos::RangePolicy<Space>;

struct Problem {
  Matrix input;
  std::vector<Matrix> layers;
  std::vector<float> bias;
};

Problem* problem = nullptr;
char message[512] = "";

Matrix copied(int rows, int columns, const int* start, const int* index, const float* value) {
  const int edges = start[rows];
  Matrix::row_map_type::non_const_type row_map("start", rows + 1);
  Matrix::index_type::non_const_type entries("index", edges);
  Matrix::values_type::non_const_type values("value", edges);
  for (int i = 0; i <= rows; ++i) row_map(i) = start[i];
  for (int i = 0; i < edges; ++i) {
    entries(i) = index[i];
    values(i) = value[i];
  }
  return Matrix("matrix", rows, columns, edges, values, row_map, entries);
}

Matrix product(const Matrix& a, const Matrix& b) {
  Handle handle;
  handle.create_spgemm_handle(KokkosSparse::SPGEMM_KK);
  Matrix::row_map_type::non_const_type row_map("start", a.numRows() + 1);
  KokkosSparse::Experimental::spgemm_symbolic(&handle, a.numRows(), b.numRows(), b.numCols(), a.graph.row_map,
                                              a.graph.entries, false, b.graph.row_map, b.graph.entries, false,
                                              row_map);
  const size_t count = handle.get_spgemm_handle()->get_c_nnz();
  Matrix::index_type::non_const_type entries(Kokkos::view_alloc("index", Kokkos::WithoutInitializing), count);
  Matrix::values_type::non_const_type values(Kokkos::view_alloc("value", Kokkos::WithoutInitializing), count);
  KokkosSparse::Experimental::spgemm_numeric(&handle, a.numRows(), b.numRows(), b.numCols(), a.graph.row_map,
                                             a.graph.entries, a.values, false, b.graph.row_map, b.graph.entries,
                                             b.values, false, row_map, entries, values);
  handle.destroy_spgemm_handle();
  return Matrix("product", a.numRows(), b.numCols(), count, values, row_map, entries);
}

// Bias and ReLU; only positive values are stored.
Matrix activated(const Matrix& z, float bias) {
  const int rows = z.numRows();
  auto old_map = z.graph.row_map;
  auto old_entries = z.graph.entries;
  auto old_values = z.values;
  Matrix::row_map_type::non_const_type row_map("start", rows + 1);
  Kokkos::parallel_for(
      "count", Policy(0, rows), KOKKOS_LAMBDA(int row) {
        int kept = 0;
        for (int i = old_map(row); i < old_map(row + 1); ++i) kept += old_values(i) + bias > 0;
        row_map(row + 1) = kept;
      });
  Kokkos::parallel_scan(
      "offsets", Policy(0, rows + 1), KOKKOS_LAMBDA(int row, int& sum, bool last) {
        sum += row_map(row);
        if (last) row_map(row) = sum;
      });
  Kokkos::fence();
  const int count = row_map(rows);
  Matrix::index_type::non_const_type entries(Kokkos::view_alloc("index", Kokkos::WithoutInitializing), count);
  Matrix::values_type::non_const_type values(Kokkos::view_alloc("value", Kokkos::WithoutInitializing), count);
  Kokkos::parallel_for(
      "keep", Policy(0, rows), KOKKOS_LAMBDA(int row) {
        int position = row_map(row);
        for (int i = old_map(row); i < old_map(row + 1); ++i) {
          const float sum = old_values(i) + bias;
          if (sum > 0) {
            entries(position) = old_entries(i);
            values(position) = sum < 32 ? sum : 32;
            ++position;
          }
        }
      });
  Kokkos::fence();
  return Matrix("activations", rows, z.numCols(), count, values, row_map, entries);
}

template <class Body>
int guarded(Body body) {
  try {
    body();
    return 0;
  } catch (const std::exception& error) {
    std::snprintf(message, sizeof message, "%s", error.what());
    return 1;
  }
}

}  // namespace

extern "C" {

const char* peer_error() { return message; }

int peer_input(int rows, int neurons, const int* start, const int* index, const float* value) {
  return guarded([&] {
    delete problem;
    problem = new Problem{copied(rows, neurons, start, index, value), {}, {}};
  });
}

int peer_layer(int inputs, int outputs, const int* start, const int* index, const float* value, float bias) {
  return guarded([&] {
    problem->layers.push_back(copied(inputs, outputs, start, index, value));
    problem->bias.push_back(bias);
  });
}

// active[rows]: 1 if the row has a nonzero value after the last layer
int peer_run(uint8_t* active) {
  return guarded([&] {
    Matrix y = problem->input;
    for (size_t layer = 0; layer < problem->layers.size(); ++layer)
      y = activated(product(y, problem->layers[layer]), problem->bias[layer]);
    for (int row = 0; row < y.numRows(); ++row) active[row] = y.graph.row_map(row + 1) > y.graph.row_map(row);
  });
}

// Views must be freed before Kokkos is finalized.
void peer_free() {
  delete problem;
  problem = nullptr;
}
}
