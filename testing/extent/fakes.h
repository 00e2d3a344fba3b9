// SPDX-License-Identifier: Apache-2.0
//
// Stand-ins for what lies around a SpaceMap: the tree that stores groups, and the frame table that knows holds.
#ifndef DMAP_TESTING_EXTENT_FAKES_H_
#define DMAP_TESTING_EXTENT_FAKES_H_

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "base/guarded.h"
#include "base/rcu.h"
#include "extent/space_map.h"

namespace dmap {

inline constexpr DeviceNumber kDevice{3};

inline Pfn frame(uint64_t index) { return make_pfn(kDevice, index); }
inline Extent extent(uint64_t first, uint64_t count) { return {frame(first), FrameCount{count}}; }

/// The stored groups; a load can be made to fail.
class FakeTree : public GroupSource {
 public:
  Result<std::optional<EncodedGroup>> load(uint64_t group) override {
    MutexLock lock(mutex_);
    ++loads_;
    if (failing_.contains(group)) return fail(Code::kIo, "read", "node");
    auto found = values_.find(group);
    return found == values_.end() ? std::nullopt : std::optional(found->second);
  }
  Result<void> store(uint64_t group, const std::optional<EncodedGroup>& value) {
    MutexLock lock(mutex_);
    if (failing_.contains(group)) return fail(Code::kIo, "write", "node");
    values_.erase(group);
    if (value) values_.emplace(group, *value);
    return {};
  }
  void set_failing(uint64_t group, bool failing) {
    MutexLock lock(mutex_);
    failing ? (void)failing_.insert(group) : (void)failing_.erase(group);
  }
  uint64_t loads() {
    MutexLock lock(mutex_);
    return loads_;
  }

 private:
  Mutex mutex_;
  std::map<uint64_t, EncodedGroup> values_ GUARDED_BY(mutex_);
  std::set<uint64_t> failing_ GUARDED_BY(mutex_);
  uint64_t loads_ GUARDED_BY(mutex_) = 0;
};

/// Descriptors with counts, as the frame table keeps them: one for a frame or for a whole run.
class FakeHolds : public HoldChecker {
 public:
  void set_map(SpaceMap* map) { map_ = map; }

  void hold(Extent run) {
    MutexLock lock(mutex_);
    Descriptor& descriptor = descriptors_[run.first];
    descriptor.run = run;
    ++descriptor.holds;
  }
  void drop(Extent run) {
    RcuReadSection section;
    bool tell = false;
    {
      MutexLock lock(mutex_);
      auto found = descriptors_.find(run.first);
      CHECK(found != descriptors_.end());
      if (--found->second.holds > 0) return;
      tell = found->second.retired;
      descriptors_.erase(found);
    }
    if (tell) map_->on_holds_gone(run);
  }
  /// Descriptors do not survive a restart.
  void forget() {
    MutexLock lock(mutex_);
    descriptors_.clear();
  }
  bool held(Pfn pfn) {
    MutexLock lock(mutex_);
    return find(pfn) != nullptr;
  }
  void retire(Extent freed, std::vector<Extent>& unheld) override {
    MutexLock lock(mutex_);
    for (Pfn pfn = freed.first; pfn < freed.end(); pfn = pfn + FrameCount{1}) {
      if (Descriptor* descriptor = find(pfn)) {
        descriptor->retired = true;
      } else if (!unheld.empty() && unheld.back().end() == pfn) {
        unheld.back().count += FrameCount{1};
      } else {
        unheld.push_back({pfn, FrameCount{1}});
      }
    }
  }

 private:
  struct Descriptor {
    Extent run{};
    int holds = 0;
    bool retired = false;
  };
  Descriptor* find(Pfn pfn) REQUIRES(mutex_) {
    auto behind = descriptors_.upper_bound(pfn);
    if (behind == descriptors_.begin()) return nullptr;
    Descriptor& descriptor = std::prev(behind)->second;
    return descriptor.run.contains(pfn) ? &descriptor : nullptr;
  }

  SpaceMap* map_ = nullptr;
  Mutex mutex_;
  std::map<Pfn, Descriptor> descriptors_ GUARDED_BY(mutex_);
};

/// A SpaceMap with everything around it.
struct Space {
  explicit Space(uint64_t frames, uint64_t kept = 0) : frames(frames), kept(kept) { open(0); }

  /// Opens the map again from what the tree holds.
  void open(uint64_t owned) {
    map.reset();
    auto opened = SpaceMap::create(kDevice, FrameCount{frames}, FrameCount{owned}, tree, holds, views,
                                   {.kept_for_metadata = FrameCount{kept}});
    CHECK(opened.has_value());
    map = *std::move(opened);
    holds.set_map(map.get());
  }
  Result<void> store() {
    return map->store_dirty_groups([&](uint64_t group, const auto& value) { return tree.store(group, value); });
  }
  /// Makes `want` frames owned and says where they are.
  std::vector<Extent> allocate(uint64_t want, SpaceHint hint = {}) {
    auto reservation = map->reserve(FrameCount{want}, hint);
    CHECK(reservation.has_value());
    std::vector<Extent> pieces(reservation->pieces().begin(), reservation->pieces().end());
    map->commit(*std::move(reservation));
    return pieces;
  }
  void release(Extent extent, RecordState record = RecordState::kDurable) {
    CHECK(map->prepare_release(extent).has_value());
    map->release(extent, record);
  }
  FrameState state(uint64_t index) { return map->state_of(frame(index)).value(); }

  uint64_t frames;
  uint64_t kept;
  FakeTree tree;
  FakeHolds holds;
  ViewSlots views;
  std::unique_ptr<SpaceMap> map;
};

}  // namespace dmap

#endif  // DMAP_TESTING_EXTENT_FAKES_H_
