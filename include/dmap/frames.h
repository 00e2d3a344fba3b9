// SPDX-License-Identifier: Apache-2.0
//
// The frame table as a layer outside the file store sees it: a GPU driver, an RDMA stack, whoever has frames of its own
// and wants descriptors for some of them, sometimes.
//
//   dmap::Frames& frames = volume.frames();
//   auto vram  = DMAP_TRY(frames.attach(dmap::frames_within(24_GiB), "gpu0"));     // costs no descriptor
//   auto hold  = DMAP_TRY(vram.expose(first, dmap::FrameCount{512}));              // from here pfns resolve
//   auto page  = frames.page(vram.pfn(first));                                     // who has it, how often
//   hold.drop();                                                                   // or let it die
//   DMAP_TRY(vram.detach());                                                       // kBusy while anything is exposed
//
// A frame that nobody exposed has no descriptor: all such frames share one page of cleared descriptors, and a lookup
// answers "none". Exposing costs descriptor memory out of a budget, dropping gives it back, neither flushes a TLB.
#ifndef DMAP_FRAMES_H_
#define DMAP_FRAMES_H_

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "dmap/result.h"
#include "dmap/types.h"

namespace dmap {

class FrameTable;

/// The layer that exposed a frame. A frame has one owner for as long as anybody holds it.
enum class Owner : uint8_t {
  kNone = 0,
  kFileStore = 1,
  kRamCache = 2,
  kFirstForeign = 16,  // owners from here on are given out by FrameTable::register_owner()
};

/// How finely expose() gives out descriptors.
enum class Grain : uint8_t {
  kLargest,  // one descriptor for each whole aligned 2 MiB run where nothing else is exposed, else one per frame
  kFrame,    // one per frame, always; kBusy where somebody holds the whole run by one descriptor
};

/// A counted hold on every frame of an extent: each has a page descriptor until this dies. Move-only.
/// Must not outlive the table. Dropping never fails, allocates or splits; it may call the table's release handler.
/// One thread at a time per object; any thread may drop what another exposed.
class [[nodiscard]] Exposure {
 public:
  Exposure() = default;
  Exposure(Exposure&& other) noexcept
      : table_(std::exchange(other.table_, nullptr)), extent_(other.extent_), owner_(other.owner_) {}
  Exposure& operator=(Exposure&& other) noexcept;
  ~Exposure() { drop(); }

  /// Gives the hold up early. Nothing on an empty one.
  void drop();

  [[nodiscard]] bool empty() const { return table_ == nullptr; }
  [[nodiscard]] Extent extent() const { return extent_; }
  [[nodiscard]] Owner owner() const { return owner_; }

 private:
  friend class FrameTable;
  Exposure(FrameTable& table, Extent extent, Owner owner) : table_(&table), extent_(extent), owner_(owner) {}

  FrameTable* table_ = nullptr;
  Extent extent_;
  Owner owner_ = Owner::kNone;
};

/// What is known about an exposed frame, at the moment of asking.
struct PageInfo {
  Pfn first{};        // the frame, or the first of the 2 MiB run that the descriptor stands for
  FrameCount frames;  // 1 or 512
  Owner owner{};
  uint64_t holds = 0;
};

/// The door for foreign layers. Any thread. Must not outlive the volume it came from.
class Frames {
 public:
  class Range;

  explicit Frames(FrameTable& table) : table_(&table) {}

  /// A range of `count` frames for the caller alone, under a device number that is never given out again.
  /// Reserves addresses, not memory. `label` shows in errors. Errors: kInvalid, kNoSpace (numbers), kNoMemory, kTooBig.
  [[nodiscard]] Result<Range> attach(FrameCount count, std::string_view label);

  /// The descriptor of `pfn`, or nothing. Never blocks or allocates.
  [[nodiscard]] std::optional<PageInfo> page(Pfn pfn) const;

 private:
  FrameTable* table_;
};

/// An attached range. Move-only; its holder detaches it, after everything exposed in it was dropped. One that dies
/// attached stays so until the volume closes: somebody still holds frames in it.
class [[nodiscard]] Frames::Range {
 public:
  Range(Range&& other) noexcept
      : table_(std::exchange(other.table_, nullptr)), frames_(other.frames_), owner_(other.owner_) {}
  Range& operator=(Range&&) = delete;
  ~Range() = default;

  [[nodiscard]] Owner owner() const { return owner_; }
  [[nodiscard]] Extent frames() const { return frames_; }
  /// The pfn of the range's frame number `index`.
  [[nodiscard]] Pfn pfn(uint64_t index) const { return frames_.first + FrameCount{index}; }

  /// Holds `count` frames from frame number `index` on, all or nothing. May block to get memory.
  /// Errors: kInvalid (outside the range), kNoDescriptors, kNoMemory, kBusy (see Grain).
  [[nodiscard]] Result<Exposure> expose(uint64_t index, FrameCount count, Grain grain = Grain::kLargest);

  /// Ends the range. Errors: kBusy while anything in it is exposed; it then stays attached.
  /// Waits for readers; no other call on this range may be under way.
  [[nodiscard]] Result<void> detach();

 private:
  friend class Frames;
  Range(FrameTable& table, Extent frames, Owner owner) : table_(&table), frames_(frames), owner_(owner) {}

  FrameTable* table_;
  Extent frames_;
  Owner owner_;
};

}  // namespace dmap

#endif  // DMAP_FRAMES_H_
