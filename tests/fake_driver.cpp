// A stand-in for NVIDIA's driver library, libcuda.so.1, for machines without a GPU.
// FAKE_GPUS: the GPUs of the node that this process may use, "0,1,2": each one's number is the last
// byte of its UUID. CUDA_VISIBLE_DEVICES chooses among them by position, as with the real one.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

std::vector<int> numbers(const char* text) {
  std::vector<int> found;
  for (char* end = nullptr; text != nullptr && *text != '\0'; text = *end == ',' ? end + 1 : end) {
    const int number = static_cast<int>(std::strtol(text, &end, 10));
    if (end == text) break;
    found.push_back(number);
  }
  return found;
}

std::vector<int> gpus() {
  std::vector<int> all = numbers(std::getenv("FAKE_GPUS"));
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  if (visible == nullptr) return all;
  std::vector<int> chosen;
  for (int position : numbers(visible)) {
    if (position >= static_cast<int>(all.size())) break;
    chosen.push_back(all[position]);
  }
  return chosen;
}

thread_local void* current = nullptr;
char contexts[64];
bool retained = false;
int waits = 0;

}  // namespace

extern "C" {

int cuInit(unsigned) { return gpus().empty() ? 100 : 0; }  // CUDA_ERROR_NO_DEVICE

int cuDriverGetVersion(int* version) {
  *version = 13000;
  return 0;
}

int cuDeviceGetCount(int* count) {
  *count = static_cast<int>(gpus().size());
  return 0;
}

int cuDeviceGet(int* handle, int number) {
  if (number < 0 || number >= static_cast<int>(gpus().size())) return 101;
  *handle = gpus()[number];
  return 0;
}

int cuDeviceGetName(char* name, int size, int handle) {
  std::snprintf(name, size, "Fake GPU %c", 'A' + handle);
  return 0;
}

int cuDeviceGetAttribute(int* value, int attribute, int) {
  *value = attribute == 75 ? 9 : 0;
  return 0;
}

int cuDeviceGetUuid_v2(char* uuid, int handle) {
  std::memset(uuid, 0, 16);
  uuid[15] = static_cast<char>(handle);
  return 0;
}

int cuDevicePrimaryCtxRetain(void** context, int handle) {
  *context = contexts + handle;
  retained = true;
  return 0;
}

int cuDevicePrimaryCtxRelease_v2(int) { return 0; }

int cuDevicePrimaryCtxGetState(int, unsigned* flags, int* active) {
  *flags = 0;
  *active = retained;
  return 0;
}

// FAKE_ERROR: what it returns.
int cuCtxSynchronize() {
  ++waits;
  const char* error = std::getenv("FAKE_ERROR");
  return error == nullptr ? 0 : static_cast<int>(std::strtol(error, nullptr, 10));
}

// How often a program has waited.
int fake_waits() { return waits; }

int cuCtxGetCurrent(void** context) {
  *context = current;
  return 0;
}

int cuCtxSetCurrent(void* context) {
  current = context;
  return 0;
}

// The GPU whose context is current in the calling thread; -1: none.
int fake_current_gpu() {
  return current == nullptr ? -1 : static_cast<int>(static_cast<char*>(current) - contexts);
}

}  // extern "C"
