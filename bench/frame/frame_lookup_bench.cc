// SPDX-License-Identifier: Apache-2.0
//
// Lookups: the frame table beside an eager array of 64-byte descriptors and beside the same scheme by page tables.
#include <optional>

#include "bench/frame/measure.h"

namespace dmap::bench {
namespace {

constexpr uint64_t kLookups = 1 << 21;
constexpr uint64_t kFewLookups = 1 << 15;  // where each new place costs the rival a page of page tables
constexpr uint64_t kWarmFrames = 1024;
constexpr uint64_t kSectionLookups = 64;  // in one read section

/// An eager memmap, as a kernel has it: 64 bytes for every frame, all there.
class DenseArray {
 public:
  explicit DenseArray(FrameCount frames) : frames_(frames.value) {}
  const void* find(uint64_t index) const { return frames_[index].word != 0 ? &frames_[index] : nullptr; }
  void expose(uint64_t index) { frames_[index].word = 1; }

 private:
  struct alignas(64) Descriptor {
    uint64_t word = 0;
  };
  std::vector<Descriptor> frames_;
};

std::vector<uint64_t> warm_set(FrameCount frames) {
  Spread spread(frames.value);
  std::vector<uint64_t> set(kWarmFrames);
  for (uint64_t& index : set) index = spread.next();
  return set;
}

/// Nanoseconds for each lookup of random frames, all over (cold) or out of the warm set.
template <typename Find>
double cold(FrameCount frames, uint64_t lookups, Find find) {
  Spread spread(frames.value);  // goes on from repetition to repetition
  return median_ns(lookups, [&] {
    for (uint64_t done = 0; done < lookups; done += kSectionLookups) {
      RcuReadSection reading;
      for (uint64_t i = 0; i < kSectionLookups; ++i) keep(find(spread.next()));
    }
  });
}
template <typename Find>
double warm(const std::vector<uint64_t>& set, uint64_t lookups, Find find) {
  return median_ns(lookups, [&] {
    for (uint64_t done = 0; done < lookups; done += kSectionLookups) {
      RcuReadSection reading;
      for (uint64_t i = 0; i < kSectionLookups; ++i) keep(find(set[(done + i) % kWarmFrames]));
    }
  });
}

void row(const char* what, const char* size, const char* form, double cold_ns, double warm_ns) {
  std::printf("| %-22s | %-6s | %-15s | %7.2f | %7.2f |\n", what, size, form, cold_ns, warm_ns);
  std::fflush(stdout);
}

void unexposed(const char* size, FrameCount frames) {
  auto set = warm_set(frames);
  {
    auto table = make_table(frames);
    auto find = [&](uint64_t index) { return table->pfn_to_page(make_pfn(kDevice, index)); };
    row("unexposed", size, "frame table", cold(frames, kLookups, find), warm(set, kLookups, find));
  }
  {
    PageTableForm form(frames);
    auto find = [&](uint64_t index) { return form.find(index); };
    uint64_t lookups = frames > frames_within(1_TiB) ? kFewLookups : kLookups;
    row("unexposed", size, "page tables", cold(frames, lookups, find), warm(set, kLookups, find));
  }
  if (frames > frames_within(64_GiB)) return;
  DenseArray dense(frames);
  auto find = [&](uint64_t index) { return dense.find(index); };
  row("unexposed", size, "eager, 64 bytes", cold(frames, kLookups, find), warm(set, kLookups, find));
}

void exposed(const char* size, FrameCount frames) {
  auto set = warm_set(frames);
  {
    auto table = make_table(frames);
    auto find = [&](uint64_t index) { return table->pfn_to_page(make_pfn(kDevice, index)); };
    {
      auto hold = table->expose(extent(0, frames.value), Owner::kFileStore, Grain::kFrame).value();
      row("all exposed, 4 KiB", size, "frame table", cold(frames, kLookups, find), warm(set, kLookups, find));
    }
    auto hold = table->expose(extent(0, frames.value), Owner::kFileStore).value();
    row("all exposed, 2 MiB", size, "frame table", cold(frames, kLookups, find), warm(set, kLookups, find));
  }
  {
    PageTableForm form(frames);
    for (uint64_t index = 0; index < frames.value; ++index) form.expose(index);
    auto find = [&](uint64_t index) { return form.find(index); };
    row("all exposed, 4 KiB", size, "page tables", cold(frames, kLookups, find), warm(set, kLookups, find));
  }
  DenseArray dense(frames);
  for (uint64_t index = 0; index < frames.value; ++index) dense.expose(index);
  auto find = [&](uint64_t index) { return dense.find(index); };
  row("all exposed, 4 KiB", size, "eager, 64 bytes", cold(frames, kLookups, find), warm(set, kLookups, find));
}

/// Only the warm set is exposed, anywhere in a large device.
void scattered(const char* size, FrameCount frames) {
  auto set = warm_set(frames);
  auto table = make_table(frames);
  std::vector<Exposure> holds;
  for (uint64_t index : set) holds.push_back(table->expose(extent(index, 1), Owner::kFileStore).value());
  auto find = [&](uint64_t index) { return table->pfn_to_page(make_pfn(kDevice, index)); };
  row("1024 frames exposed", size, "frame table", cold(frames, kLookups, find), warm(set, kLookups, find));
  PageTableForm form(frames);
  for (uint64_t index : set) form.expose(index);
  auto other = [&](uint64_t index) { return form.find(index); };
  uint64_t lookups = frames > frames_within(1_TiB) ? kFewLookups : kLookups;
  row("1024 frames exposed", size, "page tables", cold(frames, lookups, other), warm(set, kLookups, other));
}

}  // namespace
}  // namespace dmap::bench

int main() {
  using namespace dmap;
  using namespace dmap::bench;
  std::printf("Nanoseconds for each lookup, medians of %d; cold: random over all, warm: out of 1024 frames.\n",
              kRepetitions);
  std::printf("| lookup of              | device | form            | cold ns | warm ns |\n|---|---|---|---|---|\n");
  row("(nothing: the loop)", "1 TiB", "", cold(frames_within(1_TiB), kLookups, [](uint64_t index) { return index; }),
      warm(warm_set(frames_within(1_TiB)), kLookups, [](uint64_t index) { return index; }));
  unexposed("1 GiB", frames_within(1_GiB));
  unexposed("64 GiB", frames_within(64_GiB));
  unexposed("1 TiB", frames_within(1_TiB));
  unexposed("1 PiB", frames_within(1_PiB));
  scattered("64 GiB", frames_within(64_GiB));
  scattered("1 TiB", frames_within(1_TiB));
  scattered("1 PiB", frames_within(1_PiB));
  exposed("1 GiB", frames_within(1_GiB));
  exposed("64 GiB", frames_within(64_GiB));
}
