// SPDX-License-Identifier: Apache-2.0
#include "frame/descriptor_pool.h"

#include <sys/mman.h>

#include <algorithm>
#include <new>

#include "base/bits.h"
#include "base/check.h"
#include "base/text.h"

namespace dmap {
namespace {

constexpr Bytes kZeroArea = kFrameSize;  // the zero block, alone on its page
static_assert(sizeof(Block) <= kZeroArea.value);
constexpr Bytes kBudgetMax = 128_GiB;  // what 32-bit offsets in cache lines reach, with a wide margin
constexpr Bytes kChargeStep = 1_MiB;   // room is asked for in steps: asking opens files

}  // namespace

DescriptorPool::DescriptorPool(Options options, SparseMemory memory)
    : options_(std::move(options)),
      memory_(std::move(memory)),
      base_(memory_.data()),
      chunk_blocks_(options_.grant.value / sizeof(Block)) {
  state_.with([&](State& state) { state.chunks.resize(options_.budget.value / options_.grant.value); });
}

Result<std::unique_ptr<DescriptorPool>> DescriptorPool::create(Options options) {
  bool whole_pages = options.grant.value >= kFrameSize.value && options.grant.value % kFrameSize.value == 0;
  if (!whole_pages || options.budget > kBudgetMax) {
    return fail(Code::kInvalid, "create descriptor pool", text_of(options.budget),
                "the budget is at most 128 GiB and grants are multiples of 4 KiB");
  }
  Bytes chunks = options.grant * (options.budget.value / options.grant.value);
  auto memory = DMAP_TRY(SparseMemory::create(kZeroArea + chunks, SparseMemory::Access::kNone));
  DMAP_TRY(memory.allow(Bytes{0}, kZeroArea, PROT_READ));
  return std::unique_ptr<DescriptorPool>(new DescriptorPool(std::move(options), std::move(memory)));
}

Result<Block*> DescriptorPool::take(Pfn first) {
  auto taken = state_.with([&](State& state) -> Result<Block*> {
    Chunk& chunk = state.chunks[DMAP_TRY(chunk_with_free_block(state))];
    if (chunk.used++ == 0) --state.spare;
    ++state.blocks;
    return std::exchange(chunk.free, chunk.free->next_free);
  });
  Block* block = DMAP_TRY(std::move(taken));
  new (block) Block;
  block->pool = this;
  for (uint64_t i = 0; i < kBlockFrames; ++i) block->pages[i].pfn = first + FrameCount{i};
  return block;
}

void DescriptorPool::give(Block& block) {
  auto place = static_cast<uint64_t>(reinterpret_cast<std::byte*>(&block) - base_);
  size_t number = (place - kZeroArea.value) / options_.grant.value;
  state_.with([&](State& state) {
    Chunk& chunk = state.chunks[number];
    block.next_free = std::exchange(chunk.free, &block);
    state.hint = std::min(state.hint, number);
    --state.blocks;
    if (--chunk.used == 0 && ++state.spare > 1) take_grant_back(state, number);
  });
}

void DescriptorPool::retire(Block& block) {
  block.pool->state_.with([](State& state) { ++state.retiring; });
  rcu_retire<[](Block* retired) {
    DescriptorPool& pool = *retired->pool;
    pool.give(*retired);
    pool.state_.with([](State& state) { --state.retiring; });
  }>(&block);
}

Result<void> DescriptorPool::charge(Bytes size) {
  return state_.with([&](State& state) -> Result<void> {
    DMAP_TRY(check_budget(state, size));
    if (state.asked < size) {
      Bytes step = std::max(size, kChargeStep);
      DMAP_TRY(options_.room.ask(step, "populate", "descriptors"));
      state.asked = step;
    }
    state.asked -= size;
    state.charged += size;
    return {};
  });
}

void DescriptorPool::refund(Bytes size) {
  state_.with([&](State& state) { state.charged -= size; });
}

DescriptorPool::Usage DescriptorPool::usage() const {
  return state_.with([&](const State& state) {
    return Usage{.budget = options_.budget,
                 .granted = state.granted + state.charged,
                 .in_use = Bytes{state.blocks * sizeof(Block)} + state.charged,
                 .blocks = state.blocks,
                 .retiring = state.retiring};
  });
}

Bytes DescriptorPool::place_of_chunk(size_t number) const { return kZeroArea + options_.grant * number; }

Result<void> DescriptorPool::check_budget(const State& state, Bytes more) const {
  Bytes used = state.granted + state.charged;
  if (used + more <= options_.budget) return {};
  return fail(
      Code::kNoDescriptors, "grant", text_of(more),
      "budget " + text_of(options_.budget) + ", " + text_of(used) + " in use; see OpenOptions::descriptor_memory");
}

Result<size_t> DescriptorPool::chunk_with_free_block(State& state) {
  // The lowest one, so that the upper ones get empty and can go back to the system.
  for (; state.hint < state.chunks.size(); ++state.hint) {
    Chunk& chunk = state.chunks[state.hint];
    if (!chunk.granted) break;
    if (chunk.free != nullptr) return state.hint;
  }
  size_t number = state.hint;
  for (size_t next = number; next < state.chunks.size(); ++next) {
    if (state.chunks[next].free != nullptr) return next;
  }
  DMAP_TRY(check_budget(state, options_.grant));
  CHECK(number < state.chunks.size());  // all granted, and still within the budget? P1 says no
  DMAP_TRY(grant(state, number));
  return number;
}

Result<void> DescriptorPool::grant(State& state, size_t number) {
  Bytes place = place_of_chunk(number);
  DMAP_TRY(options_.room.ask(options_.grant, "populate", "descriptors"));
  DMAP_TRY(memory_.allow(place, options_.grant, PROT_READ | PROT_WRITE));
  if (auto there = memory_.populate(place, options_.grant); !there) {
    memory_.release(place, options_.grant);
    return there;
  }
  Chunk& chunk = state.chunks[number];
  chunk.granted = true;
  state.granted += options_.grant;
  ++state.spare;
  auto* blocks = reinterpret_cast<Block*>(base_ + place.value);
  for (size_t i = chunk_blocks_; i-- > 0;) blocks[i].next_free = std::exchange(chunk.free, &blocks[i]);
  return {};
}

void DescriptorPool::take_grant_back(State& state, size_t number) {
  memory_.release(place_of_chunk(number), options_.grant);
  state.chunks[number] = Chunk{};
  state.granted -= options_.grant;
  --state.spare;
}

}  // namespace dmap
