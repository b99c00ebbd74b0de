// SPDX-License-Identifier: Apache-2.0
#include "fuzz/meter.h"

#include <sanitizer/allocator_interface.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <ctime>

namespace gcvit::fuzz {
namespace {

std::atomic<std::int64_t> held_bytes;
std::atomic<std::int64_t> most_bytes;
std::atomic<std::uint64_t> allocation_count;
double start_seconds;

void on_allocation(const volatile void* /*memory*/, std::size_t size) {
  const auto bytes = static_cast<std::int64_t>(size);
  const std::int64_t now = held_bytes.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  std::int64_t most = most_bytes.load(std::memory_order_relaxed);
  while (now > most && !most_bytes.compare_exchange_weak(most, now, std::memory_order_relaxed)) {
  }
  allocation_count.fetch_add(1, std::memory_order_relaxed);
}

void on_release(const volatile void* memory) {
  if (memory == nullptr) return;
  held_bytes.fetch_sub(static_cast<std::int64_t>(__sanitizer_get_allocated_size(memory)), std::memory_order_relaxed);
}

double processor_seconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

}  // namespace

void Meter::install() {
  if (__sanitizer_install_malloc_and_free_hooks(on_allocation, on_release) == 0) std::abort();
}

void Meter::start() {
  held_bytes = 0;
  most_bytes = 0;
  allocation_count = 0;
  start_seconds = processor_seconds();
}

std::uint64_t Meter::peak_bytes() { return static_cast<std::uint64_t>(most_bytes.load()); }
std::uint64_t Meter::allocations() { return allocation_count.load(); }
double Meter::seconds() { return processor_seconds() - start_seconds; }

}  // namespace gcvit::fuzz
