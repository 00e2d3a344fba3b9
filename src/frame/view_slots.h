// SPDX-License-Identifier: Apache-2.0
//
// Views: short, counted, zero-copy looks at frames, held without a descriptor.
//
// A viewer publishes the extent that it looks at in a slot of a fixed table, as hazard pointers do (Michael, 2004).
// Whoever wants to reuse freed frames reads the table first. Neither can miss the other:
//
//   viewer                                   reclaimer
//   v1 open an RcuReadSection                r1 remove the extent from every map
//   v2 resolve the offset to an extent       r2 rcu_synchronize()
//   v3 take(extent)                          r3 for_each(): frames under a view wait, the others go on
//   v4 close the section, look
//
// A section that was open when r2 began has closed when r2 returns, so r3 sees what v3 stored (the grace period orders
// them). A section that opened later sees r1, so v2 does not find the extent. There is no third kind of section.
// A viewer that cannot stay inside one section must, after v3 and inside a new section, resolve again and retry if the
// answer changed: that second section is then the one that counts.
#ifndef DMAP_FRAME_VIEW_SLOTS_H_
#define DMAP_FRAME_VIEW_SLOTS_H_

#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "dmap/result.h"
#include "dmap/types.h"

namespace dmap {

class ViewSlots;

/// One published look; gives its slot back when it dies, on any thread. Must not outlive its ViewSlots.
/// Dropping never allocates, blocks or fails.
class [[nodiscard]] ViewSlot {
 public:
  ViewSlot() = default;
  ViewSlot(ViewSlot&& other) noexcept : slots_(std::exchange(other.slots_, nullptr)), index_(other.index_) {}
  ViewSlot& operator=(ViewSlot&& other) noexcept {
    std::swap(slots_, other.slots_);
    std::swap(index_, other.index_);
    return *this;
  }
  ~ViewSlot();

  explicit operator bool() const { return slots_ != nullptr; }

 private:
  friend class ViewSlots;
  ViewSlot(ViewSlots& slots, uint32_t index) : slots_(&slots), index_(index) {}

  ViewSlots* slots_ = nullptr;
  uint32_t index_ = 0;
};

/// The table of views of one volume. All functions may be called from any thread; none blocks.
class ViewSlots {
 public:
  static constexpr uint32_t kViewsMaxDefault = 1024;

  /// `views_max` is rounded up to a multiple of 64. The only call that allocates.
  explicit ViewSlots(uint32_t views_max = kViewsMaxDefault);

  /// Publishes `extent`; call it inside the RcuReadSection in which the extent was resolved (see above).
  /// Errors: too_many_views.
  [[nodiscard]] Result<ViewSlot> take(Extent extent);

  /// Calls `waits(extent)` for each view that was published before the caller's last grace period began, and perhaps
  /// for others. Where it answers true the caller waits for that view: look_again() becomes true when the view ends.
  template <typename Waits>
  void for_each(Waits&& waits);

  /// Whether a view covers a frame of `extent`. Trustworthy after a grace period, see above.
  [[nodiscard]] bool overlaps(Extent extent);

  /// True once after a view that somebody waits for has ended: what waits should be looked at again.
  [[nodiscard]] bool look_again();

  [[nodiscard]] uint32_t views_max() const { return static_cast<uint32_t>(shards_.size()) * kShardSlots; }
  /// Views now, a moment ago.
  [[nodiscard]] uint32_t views() const;

 private:
  friend class ViewSlot;
  static constexpr uint32_t kShardSlots = 64;

  struct Slot {
    std::atomic<uint64_t> first;
    std::atomic<uint64_t> count;  // 0: nothing published
  };
  /// 64 slots and the words that say which are in use. A thread starts at a shard of its own choice.
  struct alignas(64) Shard {
    std::atomic<uint64_t> taken;
    alignas(64) std::atomic<uint64_t> waited_for;
    alignas(64) Slot slots[kShardSlots];
  };

  void drop(uint32_t index);
  void await(Shard& shard, uint64_t bit);

  std::unique_ptr<Shard[]> storage_;
  std::span<Shard> shards_;
  std::atomic<bool> look_again_ = false;
};

template <typename Waits>
void ViewSlots::for_each(Waits&& waits) {
  for (Shard& shard : shards_) {
    // acquire: a view that matters was taken before our grace period ended, which orders it before this load
    uint64_t taken = shard.taken.load(std::memory_order_acquire);
    for (; taken != 0; taken &= taken - 1) {
      Slot& slot = shard.slots[std::countr_zero(taken)];
      // acquire: pairs with the release in take(), so `first` belongs to this count or to a later view. A slot that
      // changes hands under us held a view that is over, and holds one too young to matter: a mixture does no harm.
      uint64_t count = slot.count.load(std::memory_order_acquire);
      if (count == 0) continue;
      if (waits(Extent{Pfn{slot.first.load(std::memory_order_relaxed)}, FrameCount{count}})) {
        await(shard, taken & -taken);
      }
    }
  }
}

inline ViewSlot::~ViewSlot() {
  if (slots_ != nullptr) slots_->drop(index_);
}

}  // namespace dmap

#endif  // DMAP_FRAME_VIEW_SLOTS_H_
