// SPDX-License-Identifier: Apache-2.0
//
// One device's part of the frame table: a section for each 2 MiB of its declared maximum, in sparse memory, and above
// them one byte for each 128 MiB that says whether anything is there at all.
#ifndef DMAP_FRAME_DIRECTORY_H_
#define DMAP_FRAME_DIRECTORY_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "base/guarded.h"
#include "dmap/result.h"
#include "dmap/types.h"
#include "frame/descriptor_pool.h"
#include "frame/page.h"
#include "frame/sparse_memory.h"

namespace dmap {

/// The sections that share one 4 KiB page of the directory: 128 MiB of the device.
inline constexpr uint64_t kRegionSections = kFrameSize.value / sizeof(Section);
inline constexpr uint64_t kRegionFrames = kRegionSections * kSectionFrames;

/// Where the memory of one region stands:
///
///   kAbsent -> kPresent              populate(), before the first expose in it
///   kPresent -> closing(batch)       propose_close(), when nothing is left in it
///   closing(batch) -> kPresent       enter(): an expose came first
///   closing(batch) -> kReleasing -> kAbsent or kPresent    close(), a grace period later
///
/// Only who saw kPresent, inside its read section, may change an idle section. Naming the batch keeps a close from
/// acting on a later proposal, whose grace period has not passed.
using RegionState = uint8_t;
inline constexpr RegionState kAbsent = 0;
inline constexpr RegionState kPresent = 1;
inline constexpr RegionState kReleasing = 2;
inline constexpr RegionState kFirstClosing = 3;

/// Sections live in memory that is populated region by region. The bytes above them are what a lookup in a device with
/// little exposed touches: 8 KiB per TiB, where the sections would be 32 MiB. They also keep readers from ever mapping
/// the kernel's zero page into the directory, so that populating a region replaces no page and interrupts nobody.
/// Any thread; a device is removed only after all calls on it but lookups have returned.
class Directory {
 public:
  /// Reserves addresses for `frames`. Errors: kTooBig, kNoMemory.
  static Result<std::unique_ptr<Directory>> create(DeviceNumber device, FrameCount frames, DescriptorPool& pool);
  /// A directory without frames, which stands where a device was.
  static std::unique_ptr<Directory> none(DescriptorPool& pool);
  ~Directory();
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  [[nodiscard]] DeviceNumber device() const { return device_; }
  [[nodiscard]] FrameCount frames() const { return frames_; }
  [[nodiscard]] uint64_t regions() const { return (frames_.value + kRegionFrames - 1) / kRegionFrames; }

  /// The exposed frame's page, or null. Inside a read section.
  [[nodiscard]] Page* find(uint64_t index) const {
    // acquire: pairs with populate()'s release, so that the region's pfns are seen.
    if (index >= frames_.value || regions_[index / kRegionFrames].load(std::memory_order_acquire) == kAbsent) {
      return nullptr;
    }
    Section& section = sections_[index / kSectionFrames];
    // acquire, here and below: pairs with update(), whose release published the descriptor with its first hold.
    Word word = section.run.word.load(std::memory_order_acquire);
    if (word.count() == 0) return nullptr;
    if (word.has(Word::kLarge)) return &section.run;
    Page& page = block(section, index % kSectionFrames / kBlockFrames).pages[index % kBlockFrames];
    return page.word.load(std::memory_order_acquire).count() != 0 ? &page : nullptr;
  }

  /// Section number `number`. Always readable; changed under the rules of RegionState, or under a hold.
  [[nodiscard]] Section& section(uint64_t number) const { return sections_[number]; }
  [[nodiscard]] Pfn first_of_section(uint64_t number) const { return make_pfn(device_, number * kSectionFrames); }

  /// The block in a section's slot, the zero block if there is none. Inside a read section, or under a hold on it.
  [[nodiscard]] Block& block(const Section& section, uint64_t number) const {
    // acquire: pairs with hook_block(), so that the block's fields are seen.
    return pool_.at(section.blocks[number].load(std::memory_order_acquire));
  }
  /// As block(), but null if there is none: for who may write to it.
  [[nodiscard]] Block* hooked_block(const Section& section, uint64_t number) const {
    // acquire: as in block().
    uint32_t offset = section.blocks[number].load(std::memory_order_acquire);
    return offset != 0 ? &pool_.at(offset) : nullptr;
  }

  /// True if idle sections of the region may be changed inside the caller's read section; takes back a pending close.
  /// Otherwise leave the read section, call populate() and ask again.
  [[nodiscard]] bool enter(uint64_t region);
  /// Makes the region's memory present, or waits for a release under way. Errors: kNoDescriptors, kNoMemory.
  [[nodiscard]] Result<void> populate(uint64_t region);

  /// True if the region holds any memory: false means that nothing in it is exposed.
  [[nodiscard]] bool present(uint64_t region) const {
    // acquire: as in find().
    return regions_[region].load(std::memory_order_acquire) != kAbsent;
  }
  /// True if no section of the region is exposed, has a block or stands in the queue.
  [[nodiscard]] bool vacant(uint64_t region) const;
  /// Marks a present region as closing in `batch`, or answers false.
  [[nodiscard]] bool propose_close(uint64_t region, RegionState batch);
  /// A grace period after propose_close() by the same batch: gives the region's memory back if nobody came meanwhile.
  void close(uint64_t region, RegionState batch);

 private:
  Directory(DeviceNumber device, FrameCount frames, DescriptorPool& pool, SparseMemory sections, SparseMemory regions);

  DescriptorPool& pool_;
  Section* sections_;
  std::atomic<RegionState>* regions_;
  FrameCount frames_;
  DeviceNumber device_;
  SparseMemory section_memory_;
  SparseMemory region_memory_;
  Mutex populate_mutex_;
};

}  // namespace dmap

#endif  // DMAP_FRAME_DIRECTORY_H_
