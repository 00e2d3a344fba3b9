// SPDX-License-Identifier: Apache-2.0
//
// The memory that descriptors live in: bounded by a budget, populated when it is granted, given back when it is idle.
#ifndef DMAP_FRAME_DESCRIPTOR_POOL_H_
#define DMAP_FRAME_DESCRIPTOR_POOL_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "base/guarded.h"
#include "base/memory_room.h"
#include "dmap/result.h"
#include "dmap/types.h"
#include "frame/page.h"
#include "frame/sparse_memory.h"

namespace dmap {

/// A pool of Blocks in one reservation, so that 32 bits name a block. Grows by grants; each grant asks for room, is
/// populated, and only then counts: a shortage is an error value here and never a kill later. A grant that has become
/// empty goes back to the system, except one that is kept against flapping. Any thread.
///
/// Invariants: P1 granted + charged <= budget. P2 each granted block is free, in use, or waiting for its grace period.
/// P3 the zero block is never written: its page is mapped read-only.
class DescriptorPool {
 public:
  struct Options {
    Bytes budget = 64_MiB;  // OpenOptions::descriptor_memory
    Bytes grant = 1_MiB;    // a multiple of 4 KiB
    MemoryRoom room{};
  };
  struct Usage {
    Bytes budget;
    Bytes granted;          // populated memory: blocks, and what was charged
    Bytes in_use;           // blocks that are out, and what was charged
    uint64_t blocks = 0;    // that are out: hooked, or waiting for their grace period
    uint64_t retiring = 0;  // the latter only
  };

  /// Errors: kInvalid (sizes), kNoMemory (addresses).
  static Result<std::unique_ptr<DescriptorPool>> create(Options options);
  DescriptorPool(const DescriptorPool&) = delete;
  DescriptorPool& operator=(const DescriptorPool&) = delete;

  /// A block with all descriptors idle, for the 64 frames from `first` on. Never waits for a grace period.
  /// Errors: kNoDescriptors (the budget), kNoMemory (no room in the system).
  [[nodiscard]] Result<Block*> take(Pfn first);
  /// Takes back a block that no reader can see: never published, or a grace period after it was unhooked.
  void give(Block& block);
  /// Takes back a block that was just unhooked, after a grace period. Never allocates, never blocks.
  static void retire(Block& block);

  /// Counts `size` bytes that the caller populates itself against the budget, room asked for. Errors: as take().
  [[nodiscard]] Result<void> charge(Bytes size);
  void refund(Bytes size);

  /// The block at `offset` (in cache lines); 0 is the zero block. Inside a read section, or under a hold.
  [[nodiscard]] Block& at(uint32_t offset) const {
    return *reinterpret_cast<Block*>(base_ + (uint64_t{offset} << kLineShift));
  }
  [[nodiscard]] uint32_t offset_of(const Block& block) const {
    return static_cast<uint32_t>((reinterpret_cast<const std::byte*>(&block) - base_) >> kLineShift);
  }

  [[nodiscard]] Usage usage() const;

 private:
  static constexpr unsigned kLineShift = 6;

  /// A grant's worth of addresses.
  struct Chunk {
    Block* free = nullptr;
    uint32_t used = 0;
    bool granted = false;
  };
  struct State {
    std::vector<Chunk> chunks;
    size_t hint = 0;   // no chunk before it has a free block
    size_t spare = 0;  // granted chunks that are wholly free
    Bytes granted;     // blocks' memory, populated
    Bytes charged;     // others' memory, populated
    Bytes asked;       // room asked for that charges have not used yet
    uint64_t blocks = 0;
    uint64_t retiring = 0;
  };

  DescriptorPool(Options options, SparseMemory memory);
  [[nodiscard]] Bytes place_of_chunk(size_t number) const;
  [[nodiscard]] Result<void> check_budget(const State& state, Bytes more) const;
  [[nodiscard]] Result<size_t> chunk_with_free_block(State& state);
  [[nodiscard]] Result<void> grant(State& state, size_t number);
  void take_grant_back(State& state, size_t number);

  Options options_;
  SparseMemory memory_;
  std::byte* base_;
  size_t chunk_blocks_;
  Guarded<State> state_;
};

}  // namespace dmap

#endif  // DMAP_FRAME_DESCRIPTOR_POOL_H_
