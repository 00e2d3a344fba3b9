// SPDX-License-Identifier: Apache-2.0
//
// The way of a freed frame from its owner back to the free ones.
#include <algorithm>

#include "base/check.h"
#include "base/rcu.h"
#include "extent/space_map.h"

namespace dmap {

namespace {

constexpr FrameRun kWholeGroup{0, kGroupFrames};

/// The part of `extent` that lies in `group`; its count is 0 if there is none.
FrameRun part_in(const Group& group, Extent extent) {
  const Extent all = group.extent_of(kWholeGroup);
  const Pfn first = std::max(all.first, extent.first);
  const Pfn end = std::min(all.end(), extent.end());
  if (first >= end) return {};
  return {static_cast<uint32_t>(static_cast<uint64_t>(first) - static_cast<uint64_t>(all.first)),
          static_cast<uint32_t>(static_cast<uint64_t>(end) - static_cast<uint64_t>(first))};
}

/// Moves all frames of `where` that are in `from`; returns how many there were.
uint32_t move_all(SpaceBook& book, Group& group, FrameRun where, FrameState from, FrameState to) {
  uint32_t moved = 0;
  group.for_each_run(from, where, [&](FrameRun run) {
    book.change(group, run, from, to);
    moved += run.count;
  });
  return moved;
}

}  // namespace

void SpaceMap::release(Extent extent, RecordState record) {
  const FrameState to = record == RecordState::kDurable ? FrameState::kDurable : FrameState::kFreed;
  book_.with([&](SpaceBook& book) { book.change(extent, FrameState::kOwned, to); });
}

SpaceMap::Barrier SpaceMap::begin_barrier() {
  barrier_open_.with([](bool& open) {
    CHECK(!open);
    open = true;
  });
  book_.with([](SpaceBook& book) {
    if (book.in(FrameState::kFreed) == FrameCount{0}) return;
    for (Group* group = book.limbo.first(); group != nullptr; group = book.limbo.after(*group)) {
      move_all(book, *group, kWholeGroup, FrameState::kFreed, FrameState::kSealed);
    }
  });
  return Barrier(*this);
}

void SpaceMap::Barrier::durable() && { std::exchange(map_, nullptr)->finish_barrier(FrameState::kDurable); }

SpaceMap::Barrier::~Barrier() {
  if (map_ != nullptr) map_->finish_barrier(FrameState::kSealed);
}

void SpaceMap::finish_barrier(FrameState to) {
  book_.with([&](SpaceBook& book) {
    if (to == FrameState::kSealed || book.in(FrameState::kSealed) == FrameCount{0}) return;
    for (Group* group = book.limbo.first(); group != nullptr; group = book.limbo.after(*group)) {
      move_all(book, *group, kWholeGroup, FrameState::kSealed, to);
    }
  });
  barrier_open_.with([](bool& open) { open = false; });
}

bool SpaceMap::may_mature() const {
  return book_.with(
      [](const SpaceBook& book) { return book.in(FrameState::kDurable) + book.in(FrameState::kRipe) > FrameCount{0}; });
}

FrameCount SpaceMap::mature() {
  return maturing_.with([&](Quarantine& work) {
    // Whatever is durable now was removed from every map before: one grace period serves all of it.
    const bool any = book_.with([](SpaceBook& book) {
      if (book.in(FrameState::kDurable) == FrameCount{0}) return false;
      decltype(book.limbo) groups = std::exchange(book.limbo, {});
      while (Group* group = groups.pop()) {
        move_all(book, *group, kWholeGroup, FrameState::kDurable, FrameState::kRipe);
        if (group->count(FrameState::kFreed) + group->count(FrameState::kSealed) > 0) book.limbo.push(*group);
      }
      return true;
    });
    if (!any) return FrameCount{0};
    rcu_synchronize();

    FrameCount freed;
    for (bool more = true; more;) {  // a group at a time, so that others get the lock in between
      more = book_.with([&](SpaceBook& book) {
        Group* group = book.ripe.pop();
        if (group != nullptr) freed += settle(book, *group, work);
        return group != nullptr;
      });
    }
    return freed;
  });
}

FrameCount SpaceMap::settle(SpaceBook& book, Group& group, Quarantine& work) {
  views_.for_each([&](Extent viewed) {
    return move_all(book, group, part_in(group, viewed), FrameState::kRipe, FrameState::kDurable) > 0;
  });
  uint32_t freed = 0;
  group.for_each_run(FrameState::kRipe, kWholeGroup, [&](FrameRun run) {
    // Held first: from here on the run is the business of on_holds_gone(), which waits for our lock.
    book.change(group, run, FrameState::kRipe, FrameState::kHeld);
    work.unheld.clear();
    holds_.retire(group.extent_of(run), work.unheld);
    for (Extent unheld : work.unheld) {
      CHECK(unheld.first >= group.extent_of(run).first && unheld.end() <= group.extent_of(run).end());
      book.change(unheld, FrameState::kHeld, FrameState::kFree);
      freed += static_cast<uint32_t>(unheld.count.value);
    }
  });
  return FrameCount{freed};
}

void SpaceMap::on_holds_gone(Extent run) {
  book_.with([&](SpaceBook& book) {
    CHECK(book.contains({run.first, FrameCount{1}}));
    book.for_each_part(run, [&](Group* group, FrameRun part) {
      if (group != nullptr) move_all(book, *group, part, FrameState::kHeld, FrameState::kFree);
    });
  });
}

}  // namespace dmap
