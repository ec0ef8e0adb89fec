// The runtime library: starts and stops Kokkos in the process, launches workunits, and stores the
// last error.
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
// round to nearest, subnormal numbers, no traps.
#if defined(__x86_64__)
using Mode = unsigned;
constexpr Mode flags = 0x3f;  // exceptions that have occurred
constexpr Mode default_mode = 0x1f80;
inline Mode get_mode() { return _mm_getcsr() & ~flags; }
inline void set_mode(Mode mode) { _mm_setcsr((_mm_getcsr() & flags) | mode); }
inline bool is_default(Mode mode) { return mode == default_mode; }
inline void set_default_mode() { set_mode(default_mode); }
#elif defined(__aarch64__)
using Mode = std::uint64_t;
inline Mode get_mode() {
  Mode mode;
  asm volatile("mrs %0, fpcr" : "=r"(mode));
  return mode;
}
inline void set_mode(Mode mode) { asm volatile("msr fpcr, %0" : : "r"(mode)); }
inline bool is_default(Mode mode) { return mode == 0; }
inline void set_default_mode() { set_mode(0); }
#else
// On other processors the mode is set through the C library, always.
using Mode = std::fenv_t;
inline Mode get_mode() {
  Mode mode;
  std::fegetenv(&mode);
  return mode;
}
inline void set_mode(const Mode& mode) { std::fesetenv(&mode); }
inline bool is_default(const Mode&) { return false; }
inline void set_default_mode() { std::fesetenv(FE_DFL_ENV); }
#endif

// Sets the default mode of the calling thread during the lifetime of the object.
class DefaultMode {
 public:
  DefaultMode() : before_(get_mode()), changed_(!is_default(before_)) {
    if (changed_) set_default_mode();
  }
  ~DefaultMode() {
    if (changed_) set_mode(before_);
  }
  DefaultMode(const DefaultMode&) = delete;
  DefaultMode& operator=(const DefaultMode&) = delete;

 private:
  Mode before_;
  bool changed_;
};

#if defined(KOKKOS_ENABLE_OPENMP)
int pool_size = 0;

#if KOKKOS_VERSION < 30500
#define KKSPDNN_PARTITIONS  // Kokkos::OpenMP::partition_master exists

// In Kokkos 3.4, the pool of OpenMP threads is a thread-local variable of the thread that started
// Kokkos, so that only this thread can launch. Other threads may share the pool, as those of
// Kokkos::OpenMP::partition_master do, if they launch one at a time.
Kokkos::Impl::OpenMPExec* pool = nullptr;
void save_pool() { pool = Kokkos::Impl::t_openmp_instance; }
void adopt_pool() {
  if (Kokkos::Impl::t_openmp_instance == nullptr) Kokkos::Impl::t_openmp_instance = pool;
}
#else
void save_pool() {}
void adopt_pool() {}
#endif

// Kokkos needs all threads of its pool in each parallel region. With OMP_DYNAMIC, OpenMP starts
// fewer if the machine is busy; with OMP_MAX_ACTIVE_LEVELS=0, one. Both are settings of the calling
// thread.
void allow_all_threads() {
  omp_set_dynamic(0);
  if (omp_get_max_active_levels() < 1) omp_set_max_active_levels(1);
}
#endif

}  // namespace

extern "C" {

void kkspdnn_set_error(const char* message) { last_error() = message; }

const char* kkspdnn_last_error() { return last_error().c_str(); }

// Returns the maximum number of threads of a parallel region: OMP_THREAD_LIMIT.
int kkspdnn_thread_limit() {
#if defined(KOKKOS_ENABLE_OPENMP)
  return omp_get_thread_limit();
#else
  return INT_MAX;
#endif
}

// Returns the number of threads that OpenMP starts by default.
int kkspdnn_default_threads() {
#if defined(KOKKOS_ENABLE_OPENMP)
  return omp_get_max_threads();
#else
  return 1;
#endif
}

// Returns whether a parallel region of `threads` threads ends in the calling thread. It hangs in a
// process that was forked after another library had used OpenMP: the threads of that pool do not
// exist in the child. A forked child tries it, for at most `seconds`.
int kkspdnn_openmp_answers(int threads, int seconds) {
#if defined(KOKKOS_ENABLE_OPENMP)
  const pid_t child = fork();
  if (child < 0) return 1;  // it cannot be tried
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

// Sets the default floating-point mode of all threads of the pool: another library that uses the
// same pool may have changed it, or created the pool in another mode.
void kkspdnn_reset_modes() {
#if defined(KOKKOS_ENABLE_OPENMP)
  if (pool_size < 2) return;
  const DefaultMode mode;
#pragma omp parallel num_threads(pool_size)
  if (omp_get_thread_num() > 0 && !is_default(get_mode())) set_default_mode();
#endif
}

// Starts Kokkos, unless another library has started it in this process.
// threads: the number of OpenMP threads, at most kkspdnn_thread_limit(); 0 lets Kokkos choose
// device: the number of the GPU; -1 lets Kokkos choose
int kkspdnn_initialize(int threads, int device) {
  const DefaultMode mode;  // the threads of the pool inherit it
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
    save_pool();
#endif
    kkspdnn_reset_modes();
    started_here = true;
    return 0;
  } catch (const std::exception& error) {
    kkspdnn_set_error(error.what());
    return 1;
  }
}

// Prepares a thread that did not start Kokkos, before its first launch.
void kkspdnn_enter() {
#if defined(KOKKOS_ENABLE_OPENMP)
  if (pool_size == 0) return;
  const DefaultMode mode;
  allow_all_threads();
  adopt_pool();
#pragma omp parallel num_threads(pool_size)
  asm volatile("");  // if OpenMP binds threads, it binds this one now
#endif
}

// Returns whether kkspdnn_run can run in the calling thread alone.
int kkspdnn_can_run_alone() {
#if defined(KKSPDNN_PARTITIONS)
  return pool_size > 1;
#else
  return 0;
#endif
}

// Calls the launcher of a workunit in the default floating-point mode.
// alone: in the calling thread only; requires kkspdnn_can_run_alone()
int kkspdnn_run(int (*launch)(const char*, const void*), const char* label, const void* arguments,
                int alone) {
  const DefaultMode mode;
#if defined(KKSPDNN_PARTITIONS)
  if (alone) {
    // Kokkos creates partitions only if parallel regions may be nested.
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

// A launch of kkspdnn_launch_all.
struct kkspdnn_one_launch {
  int (*launch)(const char*, const void*);
  const char* label;
  const void* arguments;
};

// The arguments of kkspdnn_launch_all, before the launches.
struct kkspdnn_launches {
  int64_t count;
  int64_t* failed;
};

// Calls the launchers of workunits in their order until one fails; itself a launcher. Before that,
// sets the default floating-point mode of all threads, unless the calling thread runs alone.
// arguments: kkspdnn_launches, whose `failed` gets the index of a launch that fails, and as many
// kkspdnn_one_launch
int kkspdnn_launch_all(const char*, const void* arguments) {
#if defined(KOKKOS_ENABLE_OPENMP)
  if (omp_get_level() == 0) kkspdnn_reset_modes();
#endif
  const auto* all = static_cast<const kkspdnn_launches*>(arguments);
  const auto* each = reinterpret_cast<const kkspdnn_one_launch*>(all + 1);
  for (int64_t i = 0; i < all->count; ++i) {
    if (const int error = each[i].launch(each[i].label, each[i].arguments)) {
      *all->failed = i;
      return error;
    }
  }
  return 0;
}

// Stops Kokkos when the process ends, without an exception: after an error on a GPU that was
// already reported, some versions of Kokkos throw it again.
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
