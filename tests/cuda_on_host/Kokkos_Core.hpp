// A part of Kokkos that runs C++ for Kokkos::Cuda on the host: each vector lane of a team is a host
// thread, a team has one thread of its own, and teams run one after the other.
#pragma once

#include <barrier>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <thread>
#include <type_traits>
#include <vector>

#define KOKKOS_INLINE_FUNCTION inline
#define __CUDA_ARCH__ 900

struct Index {
  unsigned x;
};
inline thread_local Index threadIdx;
inline Index blockDim;

using cudaError_t = int;
constexpr cudaError_t cudaSuccess = 0;
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline cudaError_t cudaGetDevice(int*) { return cudaSuccess; }
inline const char* cudaGetErrorString(cudaError_t) { return ""; }
extern "C" inline void kkspdnn_set_error(const char*) { std::abort(); }

namespace Kokkos {

struct AUTO_t {};
constexpr AUTO_t AUTO;
struct LayoutRight {};
constexpr int Unmanaged = 0;
template <int>
struct MemoryTraits {};
template <int, int>
struct LaunchBounds {};
template <class T>
struct IndexType {};

struct Member {
  int league;
  std::barrier<>* all;
  int league_rank() const { return league; }
  int team_rank() const { return 0; }
  int team_size() const { return 1; }
  void team_barrier() const { all->arrive_and_wait(); }
};

struct Cuda {
  struct memory_space {};
};

template <class T, class, class, class>
struct View {
  using value_type = std::remove_all_extents_t<std::remove_pointer_t<
      std::conditional_t<std::is_pointer_v<std::remove_pointer_t<T>>,
                         std::conditional_t<std::is_pointer_v<std::remove_pointer_t<std::remove_pointer_t<T>>>,
                                            std::remove_pointer_t<std::remove_pointer_t<T>>,
                                            std::remove_pointer_t<T>>,
                         T>>>;
  static constexpr int rank = std::is_pointer_v<std::remove_pointer_t<T>>
                                  ? (std::is_pointer_v<std::remove_pointer_t<std::remove_pointer_t<T>>> ? 3 : 2)
                                  : 1;
  value_type* first;
  size_t extents[3];

  View(value_type* data, int64_t a, int64_t b = 1, int64_t c = 1)
      : first(data), extents{size_t(a), size_t(b), size_t(c)} {}
  value_type* data() const { return first; }
  size_t extent(int dimension) const { return extents[dimension]; }
  size_t stride(int dimension) const {
    size_t product = 1;
    for (int d = dimension + 1; d < rank; ++d) product *= extents[d];
    return product;
  }
  template <class... I>
  value_type& operator()(I... indices) const {
    int64_t offset = 0;
    int dimension = 0;
    for (const int64_t index : {static_cast<int64_t>(indices)...}) {
      if (index < 0 || index >= int64_t(extents[dimension])) std::abort();
      offset += index * int64_t(stride(dimension++));
    }
    return first[offset];
  }
};

template <class...>
struct TeamPolicy {
  struct traits {
    struct launch_bounds {};
  };
  using member_type = Member;
  int league, vector;
  TeamPolicy(int league_size, AUTO_t, int length) : league(league_size), vector(length) {}
  TeamPolicy(int league_size, int, int length) : league(league_size), vector(length) {}
};

template <class...>
struct RangePolicy {
  int64_t begin, end;
  RangePolicy(int64_t b, int64_t e) : begin(b), end(e) {}
};

struct TeamThreadRange {
  int32_t begin, end;
  TeamThreadRange(const Member&, int32_t count) : begin(0), end(count) {}
  TeamThreadRange(const Member&, int32_t b, int32_t e) : begin(b), end(e) {}
};

struct ThreadVectorRange {
  int32_t end;
  ThreadVectorRange(const Member&, int32_t count) : end(count) {}
};

template <class Body>
void parallel_for(const TeamThreadRange& range, const Body& body) {
  for (int32_t i = range.begin; i < range.end; ++i) body(i);
}

template <class Body>
void parallel_for(const ThreadVectorRange& range, const Body& body) {
  for (int32_t i = int32_t(threadIdx.x); i < range.end; i += int32_t(blockDim.x)) body(i);
}

template <class... P, class Functor>
void parallel_for(const char*, const TeamPolicy<P...>& policy, const Functor& functor) {
  blockDim.x = unsigned(policy.vector);
  std::barrier<> all(policy.vector);
  std::vector<std::thread> lanes;
  for (int lane = 0; lane < policy.vector; ++lane) {
    lanes.emplace_back([&, lane] {
      threadIdx.x = unsigned(lane);
      for (int league = 0; league < policy.league; ++league) functor(Member{league, &all});
    });
  }
  for (auto& each : lanes) each.join();
}

template <class... P, class Functor>
void parallel_for(const char*, const RangePolicy<P...>& policy, const Functor& functor) {
  for (int64_t i = policy.begin; i < policy.end; ++i) functor(int32_t(i));
}

template <class... P, class Functor, class T>
void parallel_reduce(const char*, const RangePolicy<P...>& policy, const Functor& functor, T& sum) {
  for (int64_t i = policy.begin; i < policy.end; ++i) functor(int32_t(i), sum);
}

template <class... P, class Functor, class T>
void parallel_scan(const char*, const RangePolicy<P...>& policy, const Functor& functor, T& sum) {
  for (int64_t i = policy.begin; i < policy.end; ++i) functor(int32_t(i), sum, true);
}

namespace Impl {

template <class Functor, class Policy>
struct ParallelFor {};
template <class Closure, class Bounds>
struct CudaParallelLaunch {
  struct Attributes {
    int numRegs;
  };
  static Attributes get_cuda_func_attributes() { return {80}; }
};

}  // namespace Impl

}  // namespace Kokkos
