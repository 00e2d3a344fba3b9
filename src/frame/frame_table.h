// SPDX-License-Identifier: Apache-2.0
//
// The frame table, dmap's memmap: which frames have a page descriptor, who owns it, and how many hold it.
//
// The scheme is that of 2015's "descriptors on demand": all lookups reach one shared read-only page of cleared
// descriptors until a range is exposed; then descriptors are put in its place for that range. Here a pointer swap does
// it where a kernel would change a page table, so no TLB is involved.
#ifndef DMAP_FRAME_FRAME_TABLE_H_
#define DMAP_FRAME_FRAME_TABLE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/function_ref.h"
#include "base/guarded.h"
#include "base/rcu.h"
#include "dmap/frames.h"
#include "dmap/result.h"
#include "dmap/types.h"
#include "frame/descriptor_pool.h"
#include "frame/directory.h"
#include "frame/idle.h"
#include "frame/page.h"
#include "frame/sparse_memory.h"

namespace dmap {

/// Invariants; check_invariants() proves those that are states:
///   T1 A section's count is the holds on its run if it is large, else the number of its frames with holds.
///   T2 A word with count 0 is not exposed, not freed, not moving. A dead word has count 0 and no slot leads to it.
///   T3 A page's pfn is the frame its slot stands for.
///   T4 Blocks out of the pool = hooked blocks + blocks waiting for a grace period; idle ones are bounded: at most
///      8 for each queued section, of which there are at most `idle_sections_max`, and 7 beside an exposed frame.
///   T5 Only a present region has a section that is not all zero; each is charged to the descriptor budget.
///   T6 A section is in the queue of idle sections exactly if its word says so, and then once.
///   T7 A freed mark lives until the word's count falls to 0 and is taken off by that same change: either retire()
///      saw no hold, or exactly one drop sees the mark.
class FrameTable {
 public:
  struct Options {
    DescriptorPool::Options pool{};
    /// Sections that may keep the descriptors of frames nobody holds any more, so that exposing them again is quick.
    /// At most 20 KiB each.
    size_t idle_sections_max = 64;
    /// Told once for each descriptor that was retired while held, after its last hold was dropped: the frame, or the
    /// 2 MiB run. Called by the dropping thread, outside of locks, inside the read section in which the
    /// hold went; must neither wait for a grace period nor throw.
    std::function<void(Extent run)> on_release{};
  };
  struct Statistics {
    uint64_t exposed_frames = 0;  // frames with a descriptor: 512 for a large one
    uint64_t large_pages = 0;     // large descriptors in use
    uint64_t holds = 0;           // on all descriptors together
    uint64_t idle_sections = 0;   // with the memory of descriptors nobody holds
    uint64_t blocks = 0;          // out of the pool, also those waiting for a grace period
    Bytes in_use;                 // descriptor memory that says something, and the directory's pages
    Bytes granted;                // really populated
    Bytes budget;
  };

  static Result<std::unique_ptr<FrameTable>> create(Options options);
  /// Everything must have been dropped.
  ~FrameTable();
  FrameTable(const FrameTable&) = delete;
  FrameTable& operator=(const FrameTable&) = delete;

  /// Makes room (addresses, not memory) for the frames [0, declared_max) of a device.
  /// Errors: kExists (also for a number that was removed: never reused), kInvalid (0 frames), kTooBig, kNoMemory.
  Result<void> add_device(DeviceNumber device, FrameCount declared_max);
  /// As add_device() under a number of the table's choice, from the top down. Errors: and kNoSpace.
  Result<DeviceNumber> add_foreign_device(FrameCount frames);
  /// Errors: kNotFound; kBusy while a frame is exposed. Waits for readers. Only lookups may run beside it on `device`.
  Result<void> remove_device(DeviceNumber device);
  /// A name for a foreign owner. Errors: kNoSpace after 240.
  Result<Owner> register_owner(std::string_view label);

  /// The page of an exposed frame, or null. Must be called inside an RcuReadSection, and is good until that closes; a
  /// hold keeps it good for longer. A large page stands for its whole run. Never blocks, allocates, or calls the
  /// system. May answer null while an expose() of the frame has not returned; never answers a page that is not `pfn`'s.
  [[nodiscard]] Page* pfn_to_page(Pfn pfn) const {
    // acquire: pairs with add_device().
    const Directory* directory = devices_[static_cast<size_t>(device_of(pfn))].load(std::memory_order_acquire);
    return directory != nullptr ? directory->find(index_of(pfn)) : nullptr;
  }

  /// Holds every frame of `extent` for `owner`, or none. Extents of one owner may overlap: each hold counts.
  /// May block for memory; inside a read section it does not wait for idle descriptors to come back, but fails.
  /// Errors: kInvalid (no such frames), kOtherOwner (names the frame and its owner), kBusy (see Grain; or 2^28 holds),
  /// kNoDescriptors (names the budget), kNoMemory.
  [[nodiscard]] Result<Exposure> expose(Extent extent, Owner owner, Grain grain = Grain::kLargest);

  /// Makes `to` the owner of an exposure whose holds are the only ones on its frames (and on the runs they are in).
  /// There is no moment at which the frames have no owner. Errors: kBusy (names a frame with more holds), nothing
  /// changed then. Idle descriptors have no owner, and need no hand-over.
  [[nodiscard]] Result<void> hand_over(Exposure& exposure, Owner to);

  /// Looks at the holds of frames that were freed: calls `unheld` for the parts without any (merged, in order), and
  /// marks the others, so that on_release tells when they are let go. Call it a grace period after the frames became
  /// unreachable, outside of read sections, once for each time they are freed. Never allocates, never fails.
  void retire(Extent freed, FunctionRef<void(Extent)> unheld);

  /// Whether any frame of the extent is exposed (as one or in a large run). Time goes with the 2 MiB sections
  /// in regions (128 MiB) where anything is, or lately was; a region where nothing is costs a nanosecond.
  [[nodiscard]] bool anything_exposed(Extent extent) const;
  /// Calls `visit` for each 2 MiB section that has something exposed in `extent`: the common part.
  void for_each_exposed_section(Extent extent, FunctionRef<void(Extent)> visit) const;

  /// Gives back what idle descriptors use. Returns when the memory is back. Not inside a read section.
  void trim();

  /// Counts by walking what is exposed; each number is right at its moment, not all at the same one.
  [[nodiscard]] Statistics statistics() const;
  /// Proves T1-T6 while nothing else runs on the table. Errors: kCorrupt, naming the invariant and the frame.
  [[nodiscard]] Result<void> check_invariants() const;

 private:
  friend class Exposure;
  /// The frames [first, last) of one section.
  struct Part {
    uint64_t section;
    uint64_t first;
    uint64_t last;
    [[nodiscard]] uint64_t count() const { return last - first; }
  };
  struct Progress;
  struct Freed;

  explicit FrameTable(Options options, std::unique_ptr<DescriptorPool> pool, SparseMemory devices);

  [[nodiscard]] Directory* directory(DeviceNumber device) const {
    // acquire: pairs with add_device().
    return devices_[static_cast<size_t>(device)].load(std::memory_order_acquire);
  }
  [[nodiscard]] Result<Directory*> directory_for(Extent extent, std::string_view operation) const;
  [[nodiscard]] static Part part_at(uint64_t index, uint64_t end);
  uint64_t for_each_word(Extent held, FunctionRef<bool(std::atomic<Word>&, Pfn)> visit);
  void for_each_present_section(FunctionRef<void(const Directory&, uint64_t)> visit) const;
  [[nodiscard]] std::string name_of_owner(Owner owner) const;

  [[nodiscard]] bool visit_exposed(Extent extent, FunctionRef<bool(Extent)> visit) const;

  // expose.cc
  [[nodiscard]] Result<void> hold(Directory& directory, Part part, Owner owner, Grain grain);
  [[nodiscard]] Result<void> hold_frames(Directory& directory, Part part, Owner owner);
  [[nodiscard]] Result<void> hold_in_block(Directory& directory, Part part, Owner owner, Progress& progress);
  [[nodiscard]] Result<void> hook_block(Directory& directory, uint64_t section, uint64_t number);
  [[nodiscard]] std::unexpected<Error> refuse(Pfn pfn, Word word, Owner owner) const;

  // drop.cc
  void drop(Extent extent);
  void drop_part(Directory& directory, Part part);
  [[nodiscard]] static uint64_t drop_frames(Directory& directory, Part part, Freed& freed);
  void leave(Directory& directory, uint64_t section, uint64_t frames);
  void tell_released(const Directory& directory, uint64_t section, const Freed& freed) const;

  // idle.cc
  void note_idle(Pfn section);
  [[nodiscard]] bool settle(Pfn section);
  [[nodiscard]] bool release_idle();
  bool sweep(Directory& directory);
  static void unhook_idle_blocks(Directory& directory, Section& section);
  [[nodiscard]] Result<void> with_memory(FunctionRef<Result<void>()> action);
  void wait_for_closing() const;

  Options options_;
  std::unique_ptr<DescriptorPool> pool_;
  SparseMemory device_memory_;
  std::atomic<Directory*>* devices_;    // one for each number; sparse, null where there is none
  std::unique_ptr<Directory> removed_;  // stands where a device was: it has no frames
  mutable Mutex devices_mutex_;         // add and remove
  std::vector<std::unique_ptr<Directory>> directories_ GUARDED_BY(devices_mutex_);
  unsigned next_foreign_ GUARDED_BY(devices_mutex_) = 0xffff;
  Guarded<std::vector<std::string>> foreign_owners_;
  IdleQueue idle_;
  RegionCloser closer_;
};

}  // namespace dmap

#endif  // DMAP_FRAME_FRAME_TABLE_H_
