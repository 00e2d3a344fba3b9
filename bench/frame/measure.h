// SPDX-License-Identifier: Apache-2.0
//
// What the frame table's benchmarks share: medians, the kernel's counters, and the rivals.
#ifndef DMAP_BENCH_FRAME_MEASURE_H_
#define DMAP_BENCH_FRAME_MEASURE_H_

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "base/check.h"
#include "frame/frame_table.h"

namespace dmap::bench {

inline constexpr int kRepetitions = 7;
inline constexpr DeviceNumber kDevice{1};

inline double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

/// Median nanoseconds for each of the `operations` that one call of `body` does.
template <typename Body>
double median_ns(uint64_t operations, Body body) {
  std::vector<double> samples;
  for (int i = 0; i < kRepetitions; ++i) {
    auto start = std::chrono::steady_clock::now();
    body();
    std::chrono::duration<double, std::nano> spent = std::chrono::steady_clock::now() - start;
    samples.push_back(spent.count() / static_cast<double>(operations));
  }
  return median(samples);
}

/// A fast source of evenly spread numbers below a bound.
class Spread {
 public:
  explicit Spread(uint64_t bound) : bound_(bound) {}
  uint64_t next() {
    state_ = state_ * 6364136223846793005U + 1442695040888963407U;
    return static_cast<uint64_t>((static_cast<unsigned __int128>(state_) * bound_) >> 64);
  }

 private:
  uint64_t bound_;
  uint64_t state_ = 88172645463325252U;
};

template <typename T>
void keep(T&& value) {
  asm volatile("" : : "g"(value) : "memory");
}

/// Interrupts between processors so far: TLB shootdowns, function calls (membarrier among them), rescheduling.
struct Interrupts {
  uint64_t tlb = 0;
  uint64_t calls = 0;
  uint64_t reschedules = 0;
};
inline Interrupts interrupts() {
  Interrupts sum;
  std::ifstream file("/proc/interrupts");
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    uint64_t* row = name == "TLB:"   ? &sum.tlb
                    : name == "CAL:" ? &sum.calls
                    : name == "RES:" ? &sum.reschedules
                                     : nullptr;
    if (row == nullptr) continue;
    for (uint64_t count = 0; words >> count;) *row += count;
  }
  return sum;
}

/// A row of /proc/self/status, in KiB.
inline uint64_t status_kib(const std::string& row) {
  std::ifstream file("/proc/self/status");
  for (std::string word; file >> word;) {
    uint64_t kib = 0;
    if (word == row && file >> kib) return kib;
  }
  return 0;
}
inline uint64_t footprint_kib() { return status_kib("VmRSS:") + status_kib("VmPTE:"); }

inline std::unique_ptr<FrameTable> make_table(FrameCount frames, Bytes budget = 2_GiB) {
  auto table = FrameTable::create({.pool = {.budget = budget}}).value();
  CHECK(table->add_device(kDevice, frames).has_value());
  return table;
}
inline Extent extent(uint64_t first, uint64_t count) { return {make_pfn(kDevice, first), FrameCount{count}}; }

/// The same scheme by page tables: descriptors side by side in one mapping whose untouched pages are the kernel's zero
/// page; exposing writes, and giving a page back is madvise(MADV_DONTNEED).
class PageTableForm {
 public:
  struct Descriptor {
    std::atomic<uint64_t> word;
    uint64_t rest[3];
  };
  static constexpr uint64_t kPerPage = 4096 / sizeof(Descriptor);

  explicit PageTableForm(FrameCount frames) : size_(frames.value * sizeof(Descriptor)) {
    void* data = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(data != MAP_FAILED);
    (void)madvise(data, size_, MADV_NOHUGEPAGE);
    frames_ = static_cast<Descriptor*>(data);
  }
  ~PageTableForm() { munmap(frames_, size_); }
  PageTableForm(const PageTableForm&) = delete;
  PageTableForm& operator=(const PageTableForm&) = delete;

  Descriptor* find(uint64_t index) {
    Descriptor* found = frames_ + index;
    return found->word.load(std::memory_order_acquire) != 0 ? found : nullptr;
  }
  void expose(uint64_t index) { frames_[index].word.fetch_add(1, std::memory_order_acq_rel); }
  void drop(uint64_t index) { frames_[index].word.fetch_sub(1, std::memory_order_acq_rel); }
  void give_page_back(uint64_t index) { (void)madvise(frames_ + index / kPerPage * kPerPage, 4096, MADV_DONTNEED); }

 private:
  size_t size_;
  Descriptor* frames_;
};

}  // namespace dmap::bench

#endif  // DMAP_BENCH_FRAME_MEASURE_H_
