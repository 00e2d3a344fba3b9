// SPDX-License-Identifier: Apache-2.0
//
// The page descriptor, the blocks descriptors come in, and the section: the slot of one 2 MiB run.
//
//   directory ─ section (2 MiB, 64 bytes) ┬ run: the descriptor of the whole run, and the section's own word
//                                         └ blocks[8] ─ block (256 KiB: 64 descriptors) ─ page (4 KiB)
//
// All zero means nothing exposed, at every level: slots hold offsets from the pool's first block, which is read-only
// and zero, "the zero page of cleared descriptors". So memory that nobody touched is already right.
#ifndef DMAP_FRAME_PAGE_H_
#define DMAP_FRAME_PAGE_H_

#include <array>
#include <atomic>
#include <cstdint>

#include "base/rcu.h"
#include "dmap/frames.h"
#include "dmap/types.h"

namespace dmap {

/// What a descriptor says, in one atomic word, so that looking at its state and counting on it are one operation.
///
///   bits  0..27  count     holds; in a section that is not large: exposed frames, plus calls at work in it
///   bits 28..32  flags     below
///   bits 36..43  owner     meaningful while count > 0
///   bits 44..63  version   grows with every life and every change of size; wraps
///
/// A descriptor is exposed exactly while count > 0. The life of a page's word:
///
///   idle (0 holds) -> held (n, owner) -> idle         expose(), drop()
///   held -> held+freed -> idle                        retire(); the drop that clears the mark tells the handler
///   held (1) -> held (1)+moving -> held (1, owner')   hand_over()
///   idle -> dead -> gone after a grace period         unhooking a block; a dead word never counts again
///
/// and of a section's, which also decides by what its frames are named, and changes that only at count 0:
///
///   frames (n) <-> frames (0) <-> large (0) <-> large (n)
struct Word {
  uint64_t bits = 0;

  enum Flag : uint64_t {
    kLarge = uint64_t{1} << 28,   // section: one descriptor for all 512 frames, and count is its holds
    kFreed = uint64_t{1} << 29,   // freed while held: the last drop tells the release handler
    kMoving = uint64_t{1} << 30,  // an owner hand-over is under way: wait before counting
    kDead = uint64_t{1} << 31,    // page: its block is being unhooked: look the slot up again
    kQueued = uint64_t{1} << 32,  // section: it stands in the queue of idle sections
  };
  static constexpr uint64_t kCountMax = (uint64_t{1} << 28) - 1;
  static constexpr unsigned kOwnerShift = 36;
  static constexpr unsigned kVersionShift = 44;

  friend constexpr bool operator==(Word, Word) = default;

  [[nodiscard]] constexpr uint64_t count() const { return bits & kCountMax; }
  [[nodiscard]] constexpr bool has(Flag flag) const { return (bits & flag) != 0; }
  [[nodiscard]] constexpr Owner owner() const { return static_cast<Owner>(bits >> kOwnerShift); }
  [[nodiscard]] constexpr uint64_t version() const { return bits >> kVersionShift; }

  [[nodiscard]] constexpr Word with(Flag flag) const { return {bits | flag}; }
  [[nodiscard]] constexpr Word without(Flag flag) const { return {bits & ~uint64_t{flag}}; }
  [[nodiscard]] constexpr Word with_owner(Owner owner) const {
    return {(bits & ~(uint64_t{0xff} << kOwnerShift)) | static_cast<uint64_t>(owner) << kOwnerShift};
  }
  [[nodiscard]] constexpr bool can_count(uint64_t more) const { return more <= kCountMax - count(); }
  [[nodiscard]] constexpr Word plus(uint64_t holds) const { return {bits + holds}; }
  [[nodiscard]] constexpr Word minus(uint64_t holds) const { return {bits - holds}; }
  [[nodiscard]] constexpr Word next_version() const { return {bits + (uint64_t{1} << kVersionShift)}; }
};
static_assert(sizeof(Word) == 8 && std::atomic<Word>::is_always_lock_free);

/// The descriptor of an exposed frame, or of a whole 2 MiB run. Its address and `pfn` are good inside the read section
/// that looked it up, and for as long as a hold lasts.
struct alignas(32) Page {
  std::atomic<Word> word;
  Pfn pfn{};
  /// For the owner alone, the table only clears them when it hands out the memory: an owner leaves them zero when it
  /// drops its last hold. Meant for RAM frames: the frame's number, its state and dirty mark, its place in the clock.
  std::array<std::atomic<uint64_t>, 2> owner_words{};
};
static_assert(sizeof(Page) == 32);

inline constexpr uint64_t kBlockFrames = 64;
inline constexpr uint64_t kSectionFrames = kLargeFrames;
inline constexpr uint64_t kSectionBlocks = kSectionFrames / kBlockFrames;

class DescriptorPool;

/// 64 descriptors of neighbouring frames: the unit in which 4 KiB descriptors are taken and given back.
/// A whole 2 MiB's worth would be simpler by one index, but a lone frame would cost eight times as much.
struct alignas(64) Block : RcuHead {
  DescriptorPool* pool = nullptr;
  Block* next_free = nullptr;
  std::array<Page, kBlockFrames> pages{};
};
static_assert(sizeof(Block) == 64 + 64 * 32);

/// The slot of one aligned 2 MiB run, one cache line. `run.word` is both the large descriptor's word and the section's.
struct alignas(64) Section {
  Page run;
  /// Where each 256 KiB's block lies, in cache lines from the pool's zero block; 0 is that block.
  std::array<std::atomic<uint32_t>, kSectionBlocks> blocks{};
};
static_assert(sizeof(Section) == 64);

/// Applies `change(Word) -> std::optional<Word>` to an atomic word until it sticks or answers nothing; returns the word
/// it last saw, before the change.
template <typename Change>
Word update(std::atomic<Word>& word, Change change) {
  // acquire: pairs with the release half of whoever changed the word last, so its writes are seen before we act.
  Word seen = word.load(std::memory_order_acquire);
  for (;;) {
    auto next = change(seen);
    // acq_rel: publishes what we did under our hold to the next who changes the word; see above for the other half.
    if (!next || word.compare_exchange_weak(seen, *next, std::memory_order_acq_rel, std::memory_order_acquire)) {
      return seen;
    }
  }
}

}  // namespace dmap

#endif  // DMAP_FRAME_PAGE_H_
