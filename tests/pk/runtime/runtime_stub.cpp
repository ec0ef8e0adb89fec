// A fake runtime library without Kokkos: kkspdnn_run and kkspdnn_finalize record which GPU's context
// is current, according to fake_driver.cpp.
extern "C" {

int fake_current_gpu();

int launched_on = -2;
int stopped_on = -2;

const char* kkspdnn_last_error() { return ""; }
int kkspdnn_thread_limit() { return 512; }
int kkspdnn_default_threads() { return 1; }
int kkspdnn_openmp_answers(int, int) { return 1; }
int kkspdnn_initialize(int, int) { return 0; }
int kkspdnn_concurrency() { return 1; }
int kkspdnn_can_run_alone() { return 0; }
void kkspdnn_reset_modes() {}
void kkspdnn_enter() {}

int kkspdnn_run(void*, const char*, const void*, int) {
  launched_on = fake_current_gpu();
  return 0;
}

int kkspdnn_launch_all(const char*, const void*) { return 0; }

void kkspdnn_finalize() { stopped_on = fake_current_gpu(); }

}  // extern "C"
