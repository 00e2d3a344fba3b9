// SPDX-License-Identifier: Apache-2.0
#include "frame/view_slots.h"

#include <pthread.h>

#include <string>

#include "base/check.h"

namespace dmap {

namespace {

/// Where this thread starts to look for a slot, so that threads rarely meet on a word.
uint32_t start_of_this_thread() {
  uint64_t mixed = static_cast<uint64_t>(pthread_self()) * 0x9e3779b97f4a7c15U;  // Fibonacci hashing
  return static_cast<uint32_t>(mixed >> 32);
}

}  // namespace

ViewSlots::ViewSlots(uint32_t views_max) {
  CHECK(views_max > 0);
  uint32_t shards = (views_max + kShardSlots - 1) / kShardSlots;
  storage_ = std::make_unique<Shard[]>(shards);
  shards_ = {storage_.get(), shards};
}

Result<ViewSlot> ViewSlots::take(Extent extent) {
  CHECK(extent.count > FrameCount{0});
  const auto shards = static_cast<uint32_t>(shards_.size());
  const uint32_t start = start_of_this_thread() % shards;
  for (uint32_t step = 0; step < shards; ++step) {
    const uint32_t at = (start + step) % shards;
    Shard& shard = shards_[at];
    uint64_t taken = shard.taken.load(std::memory_order_relaxed);  // a guess; the exchange below decides
    while (taken != ~uint64_t{0}) {
      const auto number = static_cast<uint32_t>(std::countr_one(taken));
      // acquire: pairs with the release in drop(), so our stores to the slot come after the last user's
      if (!shard.taken.compare_exchange_weak(taken, taken | uint64_t{1} << number, std::memory_order_acquire,
                                             std::memory_order_relaxed)) {
        continue;
      }
      Slot& slot = shard.slots[number];
      slot.first.store(static_cast<uint64_t>(extent.first), std::memory_order_relaxed);
      // release: publishes `first`; pairs with the acquire in for_each()
      slot.count.store(extent.count.value, std::memory_order_release);
      return ViewSlot(*this, at * kShardSlots + number);
    }
  }
  return fail(Code::kTooManyViews, "view", "frames",
              "all " + std::to_string(views_max()) + " views are in use; end some, or raise views_max");
}

void ViewSlots::drop(uint32_t index) {
  Shard& shard = shards_[index / kShardSlots];
  const uint64_t bit = uint64_t{1} << (index % kShardSlots);
  // release: our last look at the frames comes before a reclaimer reads 0 in for_each() and reuses them
  shard.slots[index % kShardSlots].count.store(0, std::memory_order_release);
  // seq_cst: this store and the load below against await()'s exchange and load: one of us sees the other
  shard.taken.fetch_and(~bit, std::memory_order_seq_cst);
  if ((shard.waited_for.load(std::memory_order_seq_cst) & bit) == 0) [[likely]]
    return;
  shard.waited_for.fetch_and(~bit, std::memory_order_relaxed);  // one answer is enough; a stray one does no harm
  look_again_.store(true, std::memory_order_release);           // pairs with the exchange in look_again()
}

void ViewSlots::await(Shard& shard, uint64_t bit) {
  shard.waited_for.fetch_or(bit, std::memory_order_seq_cst);  // pairs with the load in drop()
  if ((shard.taken.load(std::memory_order_seq_cst) & bit) != 0) return;
  look_again_.store(true, std::memory_order_release);  // it ended meanwhile; pairs with the exchange in look_again()
}

bool ViewSlots::overlaps(Extent extent) {
  bool found = false;
  for_each([&](Extent viewed) {
    found |= viewed.first < extent.end() && extent.first < viewed.end();
    return false;
  });
  return found;
}

bool ViewSlots::look_again() {
  // acquire: pairs with the releases in drop() and await(), so that the caller's look comes after the view's end
  return look_again_.exchange(false, std::memory_order_acq_rel);
}

uint32_t ViewSlots::views() const {
  uint32_t count = 0;
  for (const Shard& shard : shards_) {
    count += static_cast<uint32_t>(std::popcount(shard.taken.load(std::memory_order_relaxed)));  // a statistic
  }
  return count;
}

}  // namespace dmap
