// Starts and stops Kokkos for the process, and keeps the last error of a launch.
#include <Kokkos_Core.hpp>

#include <cstdio>
#include <exception>
#include <string>

namespace {

std::string& last_error() {
  static thread_local std::string text;
  return text;
}

bool started_here = false;

#if defined(KOKKOS_ENABLE_OPENMP)
int pool_size = 0;

#if KOKKOS_VERSION < 30500
// Kokkos 3.4 lets only the thread that started it launch: its pool of OpenMP threads is known to
// that thread alone. Any other may have it as well, as those of Kokkos::OpenMP::partition_master
// have theirs, as long as they launch one at a time.
Kokkos::Impl::OpenMPExec* pool = nullptr;
void keep_pool() { pool = Kokkos::Impl::t_openmp_instance; }
void take_pool() {
  if (Kokkos::Impl::t_openmp_instance == nullptr) Kokkos::Impl::t_openmp_instance = pool;
}
#else
void keep_pool() {}
void take_pool() {}
#endif
#endif

}  // namespace

extern "C" {

void kkspdnn_set_error(const char* message) { last_error() = message; }

const char* kkspdnn_last_error() { return last_error().c_str(); }

// threads: how many OpenMP threads, or 0 for what OMP_NUM_THREADS and the machine say; device: the
// GPU's number, or -1 for Kokkos's own choice.
// A Kokkos that another library of this process has started is used as it is.
int kkspdnn_initialize(int threads, int device) {
  try {
    if (Kokkos::is_initialized()) return 0;
#if KOKKOS_VERSION >= 30700
    Kokkos::InitializationSettings settings;
    settings.set_disable_warnings(true);
    if (threads > 0) settings.set_num_threads(threads);
    if (device >= 0) settings.set_device_id(device);
#else
    Kokkos::InitArguments settings;
    settings.disable_warnings = true;
    if (threads > 0) settings.num_threads = threads;
    if (device >= 0) settings.device_id = device;
#endif
    Kokkos::initialize(settings);
#if defined(KOKKOS_ENABLE_OPENMP)
    pool_size = Kokkos::OpenMP().concurrency();
    keep_pool();
#endif
    started_here = true;
    return 0;
  } catch (const std::exception& error) {
    kkspdnn_set_error(error.what());
    return 1;
  }
}

// To be called by a thread that did not start Kokkos, before it launches for the first time.
void kkspdnn_enter() {
#if defined(KOKKOS_ENABLE_OPENMP)
  if (pool_size == 0) return;
  take_pool();
#pragma omp parallel num_threads(pool_size)
  asm volatile("");  // so that OpenMP binds this thread now, if it does
#endif
}

// Called when the process ends, which must not be by an exception: where a GPU has failed, and that
// was told, some versions of Kokkos find so once more.
void kkspdnn_finalize() {
  try {
    if (started_here && Kokkos::is_initialized()) Kokkos::finalize();
  } catch (const std::exception&) {
  }
}

int kkspdnn_kokkos_version() { return KOKKOS_VERSION; }

int kkspdnn_concurrency() {
#if defined(KOKKOS_ENABLE_CUDA)
  return Kokkos::Cuda().concurrency();
#elif defined(KOKKOS_ENABLE_OPENMP)
  return Kokkos::OpenMP().concurrency();
#else
  return 1;
#endif
}

}  // extern "C"
