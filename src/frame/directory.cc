// SPDX-License-Identifier: Apache-2.0
#include "frame/directory.h"

#include <algorithm>
#include <thread>

#include "base/bits.h"
#include "base/check.h"
#include "base/text.h"

namespace dmap {
namespace {

/// Region bytes up to here are populated with the device, so that no later write to them replaces a page under readers.
constexpr Bytes kEagerRegionBytes = 64_KiB;  // 8 TiB of device

constexpr Bytes whole_frames(uint64_t bytes) { return Bytes{round_up(bytes, kFrameSize.value)}; }
constexpr Bytes place_of_region(uint64_t region) { return kFrameSize * region; }

}  // namespace

Directory::Directory(DeviceNumber device, FrameCount frames, DescriptorPool& pool, SparseMemory sections,
                     SparseMemory regions)
    : pool_(pool),
      sections_(sections.as<Section>()),
      regions_(regions.as<std::atomic<RegionState>>()),
      frames_(frames),
      device_(device),
      section_memory_(std::move(sections)),
      region_memory_(std::move(regions)) {}

Result<std::unique_ptr<Directory>> Directory::create(DeviceNumber device, FrameCount frames, DescriptorPool& pool) {
  constexpr FrameCount kFramesMax{uint64_t{1} << 40};  // 4 PiB: 128 GiB of addresses
  if (frames > kFramesMax) {
    return fail(Code::kTooBig, "attach device", text_of(bytes_of(frames)), "at most 4 PiB per device");
  }
  uint64_t regions = (frames.value + kRegionFrames - 1) / kRegionFrames;
  Bytes region_bytes = whole_frames(regions);
  auto sections = DMAP_TRY(SparseMemory::create(place_of_region(regions), SparseMemory::Access::kReadWrite));
  auto states = DMAP_TRY(SparseMemory::create(region_bytes, SparseMemory::Access::kReadWrite));
  if (region_bytes <= kEagerRegionBytes) DMAP_TRY(states.populate(Bytes{0}, region_bytes));
  return std::unique_ptr<Directory>(new Directory(device, frames, pool, std::move(sections), std::move(states)));
}

std::unique_ptr<Directory> Directory::none(DescriptorPool& pool) {
  return std::unique_ptr<Directory>(new Directory(DeviceNumber{}, FrameCount{}, pool, SparseMemory(), SparseMemory()));
}

Directory::~Directory() {
  for (uint64_t region = 0; region < regions(); ++region) {
    if (present(region)) pool_.refund(kFrameSize);
  }
}

bool Directory::enter(uint64_t region) {
  std::atomic<RegionState>& state = regions_[region];
  // acquire: pairs with populate()'s release.
  RegionState seen = state.load(std::memory_order_acquire);
  while (seen >= kFirstClosing) {
    // acq_rel: takes the proposal back; close() fails its own exchange and reads nothing of ours.
    if (state.compare_exchange_weak(seen, kPresent, std::memory_order_acq_rel, std::memory_order_acquire)) return true;
  }
  return seen == kPresent;
}

Result<void> Directory::populate(uint64_t region) {
  MutexLock lock(populate_mutex_);
  std::atomic<RegionState>& state = regions_[region];
  // acquire: pairs with close()'s release, so that we write to the region after it gave the memory back.
  while (state.load(std::memory_order_acquire) == kReleasing) std::this_thread::yield();
  if (state.load(std::memory_order_relaxed) != kAbsent) return {};

  DMAP_TRY(pool_.charge(kFrameSize));
  auto there = region_memory_.populate(Bytes{round_down(region, kFrameSize.value)}, kFrameSize);
  if (there) there = section_memory_.populate(place_of_region(region), kFrameSize);
  if (!there) {
    pool_.refund(kFrameSize);
    return there;
  }
  uint64_t first = region * kRegionSections;
  for (uint64_t number = first; number < first + kRegionSections; ++number) {
    sections_[number].run.pfn = first_of_section(number);
  }
  // release: publishes the pfns; pairs with the acquire in find() and enter().
  state.store(kPresent, std::memory_order_release);
  return {};
}

bool Directory::vacant(uint64_t region) const {
  auto untouched = [](const Section& section) {
    // acquire: pairs with update(): a section seen idle here had its last user's writes before.
    Word word = section.run.word.load(std::memory_order_acquire);
    auto empty = [](const auto& slot) { return slot.load(std::memory_order_relaxed) == 0; };
    return word.count() == 0 && !word.has(Word::kQueued) && std::ranges::all_of(section.blocks, empty);
  };
  const Section* first = sections_ + region * kRegionSections;
  return std::all_of(first, first + kRegionSections, untouched);
}

bool Directory::propose_close(uint64_t region, RegionState batch) {
  RegionState seen = kPresent;
  // release: what we saw of the region comes before the mark. Nothing is read through a failure.
  return regions_[region].compare_exchange_strong(seen, batch, std::memory_order_release, std::memory_order_relaxed);
}

void Directory::close(uint64_t region, RegionState batch) {
  std::atomic<RegionState>& state = regions_[region];
  RegionState seen = batch;
  // acquire: pairs with propose_close(). From here on enter() is refused, and whoever entered before the proposal has
  // left its read section: a section that is idle now stays so.
  if (!state.compare_exchange_strong(seen, kReleasing, std::memory_order_acquire, std::memory_order_relaxed)) return;
  bool release = vacant(region);
  if (release) {
    section_memory_.release(place_of_region(region), kFrameSize);
    pool_.refund(kFrameSize);
  }
  // release: pairs with the acquire in populate() and enter().
  state.store(release ? kAbsent : kPresent, std::memory_order_release);
}

}  // namespace dmap
