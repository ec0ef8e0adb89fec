// Starts and stops Kokkos for the process, launches workunits, and keeps the last error of a launch.
#include <Kokkos_Core.hpp>

#include <cfenv>
#include <climits>
#include <cstdint>
#include <exception>
#include <string>

#if defined(KOKKOS_ENABLE_OPENMP)
#include <omp.h>
#endif

#include <csignal>
#include <ctime>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace {

std::string& last_error() {
  static thread_local std::string text;
  return text;
}

bool started_here = false;

// The floating-point mode of a thread: rounding, what happens to subnormal numbers, and which
// exceptions trap. A library built with -ffast-math changes it when it is loaded, and threads
// inherit it from the thread that creates them. Workunits run in the default mode of IEEE 754:
// rounding to nearest, subnormal numbers kept, no traps.
#if defined(__x86_64__)
using Mode = unsigned;
constexpr Mode flags = 0x3f;  // of exceptions that have occurred
constexpr Mode usual = 0x1f80;
inline Mode get_mode() { return _mm_getcsr() & ~flags; }
inline void set_mode(Mode mode) { _mm_setcsr((_mm_getcsr() & flags) | mode); }
inline bool is_usual(Mode mode) { return mode == usual; }
inline void set_usual_mode() { set_mode(usual); }
#elif defined(__aarch64__)
using Mode = std::uint64_t;
inline Mode get_mode() {
  Mode mode;
  asm volatile("mrs %0, fpcr" : "=r"(mode));
  return mode;
}
inline void set_mode(Mode mode) { asm volatile("msr fpcr, %0" : : "r"(mode)); }
inline bool is_usual(Mode mode) { return mode == 0; }
inline void set_usual_mode() { set_mode(0); }
#else
// Elsewhere as the C library knows it, without asking first.
using Mode = std::fenv_t;
inline Mode get_mode() {
  Mode mode;
  std::fegetenv(&mode);
  return mode;
}
inline void set_mode(const Mode& mode) { std::fesetenv(&mode); }
inline bool is_usual(const Mode&) { return false; }
inline void set_usual_mode() { std::fesetenv(FE_DFL_ENV); }
#endif

// The default mode for the calling thread as long as this object lives.
class UsualMode {
 public:
  UsualMode() : before_(get_mode()), changed_(!is_usual(before_)) {
    if (changed_) set_usual_mode();
  }
  ~UsualMode() {
    if (changed_) set_mode(before_);
  }
  UsualMode(const UsualMode&) = delete;
  UsualMode& operator=(const UsualMode&) = delete;

 private:
  Mode before_;
  bool changed_;
};

#if defined(KOKKOS_ENABLE_OPENMP)
int pool_size = 0;

#if KOKKOS_VERSION < 30500
#define KKSPDNN_PARTITIONS  // Kokkos::OpenMP::partition_master is there

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

// Kokkos needs as many threads in every parallel region as there are in its pool. OMP_DYNAMIC lets
// OpenMP take fewer when the machine is busy, OMP_MAX_ACTIVE_LEVELS=0 only one. Both are settings
// of the calling thread.
void allow_all_threads() {
  omp_set_dynamic(0);
  if (omp_get_max_active_levels() < 1) omp_set_max_active_levels(1);
}
#endif

}  // namespace

extern "C" {

void kkspdnn_set_error(const char* message) { last_error() = message; }

const char* kkspdnn_last_error() { return last_error().c_str(); }

// The most threads that OpenMP gives to a parallel region: OMP_THREAD_LIMIT.
int kkspdnn_thread_limit() {
#if defined(KOKKOS_ENABLE_OPENMP)
  return omp_get_thread_limit();
#else
  return INT_MAX;
#endif
}

// As many threads as OpenMP takes where nobody says how many.
int kkspdnn_default_threads() {
#if defined(KOKKOS_ENABLE_OPENMP)
  return omp_get_max_threads();
#else
  return 1;
#endif
}

// Whether a parallel region of `threads` threads comes to its end in the calling thread. It does not
// in a process that was forked after another library had used OpenMP: the threads of its pool are
// not there. A child that is forked here tries it, for at most `seconds`.
int kkspdnn_openmp_answers(int threads, int seconds) {
#if defined(KOKKOS_ENABLE_OPENMP)
  const pid_t child = fork();
  if (child < 0) return 1;  // cannot be tried
  if (child == 0) {
#pragma omp parallel num_threads(threads)
    asm volatile("");
    _exit(0);
  }
  const timespec pause = {0, 5000000};
  for (int waited = 0; waited < 200 * seconds; ++waited) {
    if (waitpid(child, nullptr, WNOHANG) != 0) return 1;
    nanosleep(&pause, nullptr);
  }
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  return 0;
#else
  (void)threads;
  (void)seconds;
  return 1;
#endif
}

// Give every thread of the pool the default floating-point mode, where another library that uses
// the same pool has changed it, or created it in another mode.
void kkspdnn_reset_modes() {
#if defined(KOKKOS_ENABLE_OPENMP)
  if (pool_size < 2) return;
  const UsualMode mode;
#pragma omp parallel num_threads(pool_size)
  if (omp_get_thread_num() > 0 && !is_usual(get_mode())) set_usual_mode();
#endif
}

// threads: how many OpenMP threads, at most kkspdnn_thread_limit(); device: the GPU's number, or -1
// for Kokkos's own choice.
// A Kokkos that another library of this process has started is used as it is.
int kkspdnn_initialize(int threads, int device) {
  const UsualMode mode;  // which the pool's threads inherit
  try {
#if defined(KOKKOS_ENABLE_OPENMP)
    allow_all_threads();
#endif
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
    kkspdnn_reset_modes();
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
  const UsualMode mode;
  allow_all_threads();
  take_pool();
#pragma omp parallel num_threads(pool_size)
  asm volatile("");  // so that OpenMP binds this thread now, if it does
#endif
}

// Whether kkspdnn_run can leave the other threads of the pool asleep.
int kkspdnn_can_run_alone() {
#if defined(KKSPDNN_PARTITIONS)
  return pool_size > 1;
#else
  return 0;
#endif
}

// Call a workunit's `launch` in the default floating-point mode; alone: in the calling thread only,
// which must be possible.
int kkspdnn_run(int (*launch)(const char*, const void*), const char* label, const void* arguments,
                int alone) {
  const UsualMode mode;
#if defined(KKSPDNN_PARTITIONS)
  if (alone) {
    // Kokkos makes partitions where parallel regions may be nested.
    const int levels = omp_get_max_active_levels();
    omp_set_max_active_levels(levels < 2 ? 2 : levels);
    int failed = 1;
    Kokkos::OpenMP::partition_master([&](int, int) { failed = launch(label, arguments); }, 1, 1);
    omp_set_max_active_levels(levels);
    return failed;
  }
#endif
  (void)alone;
  return launch(label, arguments);
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
