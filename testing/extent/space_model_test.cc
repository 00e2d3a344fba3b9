// SPDX-License-Identifier: Apache-2.0
//
// A SpaceMap beside the simplest thing that could be right: one state per frame, and lists of who has what.
#include <gtest/gtest.h>

#include <random>

#include "testing/extent/fakes.h"

namespace dmap {
namespace {

class SpaceModel {
 public:
  SpaceModel(uint64_t seed, uint64_t frames) : random_(seed), space_(frames), states_(frames, FrameState::kFree) {
    fix(0, 9, FixedUse::kMetadata, FrameState::kMetadata);
    fix(kGroupFrames - 3, 6, FixedUse::kMetadata, FrameState::kMetadata);
    fix(frames - 1, 1, FixedUse::kBad, FrameState::kBad);
  }

  void step() {
    switch (random_() % 16) {
      case 0:
      case 1:
      case 2:
      case 3: reserve(); break;
      case 4:
      case 5: commit(); break;
      case 6: cancel(); break;
      case 7:
      case 8:
      case 9: release(); break;
      case 10: barrier(); break;
      case 11: mature(); break;
      case 12: hold(); break;
      case 13: drop(); break;
      case 14: view(); break;
      case 15: random_() % 16 == 0 ? reopen() : reserve_run(); break;
    }
  }

  void compare() {
    ASSERT_TRUE(space_.map->check_invariants());
    uint64_t free = 0;
    for (uint64_t index = 0; index < states_.size(); ++index) {
      ASSERT_EQ(space_.state(index), states_[index]) << "frame " << index;
      free += states_[index] == FrameState::kFree ? 1 : 0;
    }
    ASSERT_EQ(space_.map->counts().free.value, free);
  }

 private:
  struct View {
    Extent extent;
    ViewSlot slot;
  };

  void fix(uint64_t first, uint64_t count, FixedUse use, FrameState state) {
    ASSERT_TRUE(space_.map->reserve_fixed(extent(first, count), use).has_value());
    set(extent(first, count), FrameState::kFree, state);
  }

  void set(Extent run, FrameState from, FrameState to) {
    for (uint64_t n = 0; n < run.count.value; ++n) {
      FrameState& state = states_[index_of(run.first) + n];
      ASSERT_EQ(state, from) << "frame " << index_of(run.first) + n;
      state = to;
    }
  }

  uint64_t count(FrameState state) const { return static_cast<uint64_t>(std::ranges::count(states_, state)); }

  uint64_t random_size() { return 1 + random_() % (uint64_t{1} << (random_() % 13)); }

  void reserve() {
    const uint64_t want = random_size();
    SpaceHint hint{.near = {}, .size = random_() % 4 == 0 ? SpaceHint::Size::kLarge : SpaceHint::Size::kUnknown};
    if (random_() % 2 == 0 && !owned_.empty()) hint.near = owned_[random_() % owned_.size()].end();
    if (random_() % 8 == 0) hint.piece_min = FrameCount{1 + random_() % 20};
    const bool enough = want <= count(FrameState::kFree);
    if (!enough) matured();  // what reserve() will do
    auto reservation = space_.map->reserve(FrameCount{want}, hint);
    if (!reservation) {
      ASSERT_EQ(reservation.error().code(), Code::kNoSpace);
      ASSERT_TRUE(want > count(FrameState::kFree) || hint.piece_min > FrameCount{1});
      if (enough) matured();  // it was a matter of pieces, and it looked in quarantine
      return;
    }
    if (enough && space_.map->counts().free.value != count(FrameState::kFree) - want) matured();
    ASSERT_EQ(reservation->frames(), FrameCount{want});
    uint64_t sum = 0;
    for (Extent piece : reservation->pieces()) {
      set(piece, FrameState::kFree, FrameState::kReserved);
      sum += piece.count.value;
    }
    ASSERT_EQ(sum, want);
    reservations_.push_back(*std::move(reservation));
  }

  void reserve_run() {
    const uint64_t least = random_size();
    const uint64_t want = least + random_size();
    uint64_t longest = longest_free_run();
    if (longest < least) {
      matured();
      longest = longest_free_run();
    }
    auto reservation = space_.map->reserve_run(FrameCount{want}, FrameCount{least});
    ASSERT_EQ(reservation.has_value(), longest >= least);
    if (!reservation) return;
    ASSERT_EQ(reservation->pieces().size(), 1U);
    ASSERT_EQ(reservation->frames().value, std::min(want, longest));
    set(reservation->pieces()[0], FrameState::kFree, FrameState::kReserved);
    reservations_.push_back(*std::move(reservation));
  }

  uint64_t longest_free_run() const {
    uint64_t longest = 0;
    uint64_t run = 0;
    for (FrameState state : states_) longest = std::max(longest, run = state == FrameState::kFree ? run + 1 : 0);
    return longest;
  }

  Reservation take_reservation() {
    std::swap(reservations_[random_() % reservations_.size()], reservations_.back());
    Reservation taken = std::move(reservations_.back());
    reservations_.pop_back();
    return taken;
  }

  void commit() {
    if (reservations_.empty()) return;
    Reservation taken = take_reservation();
    for (Extent piece : taken.pieces()) {
      set(piece, FrameState::kReserved, FrameState::kOwned);
      owned_.push_back(piece);
    }
    space_.map->commit(std::move(taken));
  }

  void cancel() {
    if (reservations_.empty()) return;
    const Reservation taken = take_reservation();
    for (Extent piece : taken.pieces()) set(piece, FrameState::kReserved, FrameState::kFree);
  }

  void release() {
    if (owned_.empty()) return;
    Extent& file = owned_[random_() % owned_.size()];
    // The tail of it, or all.
    const uint64_t kept = random_() % 2 == 0 ? random_() % file.count.value : 0;
    const Extent tail{file.first + FrameCount{kept}, FrameCount{file.count.value - kept}};
    const RecordState record = random_() % 2 == 0 ? RecordState::kDurable : RecordState::kPending;
    space_.release(tail, record);
    set(tail, FrameState::kOwned, record == RecordState::kDurable ? FrameState::kDurable : FrameState::kFreed);
    file.count = FrameCount{kept};
    if (kept == 0) std::swap(file, owned_.back()), owned_.pop_back();
  }

  void move_all(FrameState from, FrameState to) { std::ranges::replace(states_, from, to); }

  void barrier() {
    auto barrier = space_.map->begin_barrier();
    move_all(FrameState::kFreed, FrameState::kSealed);
    release();
    if (random_() % 3 == 0) return;  // it fails
    std::move(barrier).durable();
    move_all(FrameState::kSealed, FrameState::kDurable);
  }

  /// What mature() must do: durable frames are free, but for viewed ones, and held ones.
  void matured() {
    for (uint64_t index = 0; index < states_.size(); ++index) {
      if (states_[index] != FrameState::kDurable) continue;
      const bool viewed = std::ranges::any_of(views_, [&](const View& v) { return v.extent.contains(frame(index)); });
      if (viewed) continue;
      states_[index] = space_.holds.held(frame(index)) ? FrameState::kHeld : FrameState::kFree;
    }
  }

  void mature() {
    const uint64_t before = count(FrameState::kFree);
    matured();
    ASSERT_EQ(space_.map->mature().value, count(FrameState::kFree) - before);
  }

  /// A hold, on large frame or single frames, of which some frame is owned.
  void hold() {
    if (owned_.empty()) return;
    const Extent& file = owned_[random_() % owned_.size()];
    const uint64_t index = index_of(file.first) + random_() % file.count.value;
    const uint64_t large = index / kLargeFrames * kLargeFrames;
    const Extent run =
        random_() % 2 == 0 && large + kLargeFrames <= states_.size() ? extent(large, kLargeFrames) : extent(index, 1);
    const bool overlaps = std::ranges::any_of(
        held_, [&](Extent held) { return held != run && held.first < run.end() && run.first < held.end(); });
    if (overlaps) return;  // the frame table would split or share; not our subject
    space_.holds.hold(run);
    held_.push_back(run);
  }

  void drop() {
    if (held_.empty()) return;
    std::swap(held_[random_() % held_.size()], held_.back());
    const Extent run = held_.back();
    held_.pop_back();
    space_.holds.drop(run);
    if (std::ranges::find(held_, run) != held_.end()) return;
    for (uint64_t n = 0; n < run.count.value; ++n) {
      FrameState& state = states_[index_of(run.first) + n];
      if (state == FrameState::kHeld) state = FrameState::kFree;
    }
  }

  void view() {
    if (views_.size() > 5 || owned_.empty()) {
      if (!views_.empty()) views_.erase(views_.begin() + static_cast<ptrdiff_t>(random_() % views_.size()));
      return;
    }
    const Extent file = owned_[random_() % owned_.size()];
    views_.push_back({file, space_.views.take(file).value()});
  }

  /// A clean restart: only what is owned survives, and what is set aside again.
  void reopen() {
    reservations_.clear();
    views_.clear();
    held_.clear();
    ASSERT_TRUE(space_.store().has_value());
    const uint64_t owned = count(FrameState::kOwned);
    ASSERT_EQ(space_.map->counts().owned.value, owned);
    space_.holds.forget();
    space_.open(owned);
    for (FrameState& state : states_) {
      if (state != FrameState::kOwned) state = FrameState::kFree;
    }
    fix(0, 9, FixedUse::kMetadata, FrameState::kMetadata);
    fix(kGroupFrames - 3, 6, FixedUse::kMetadata, FrameState::kMetadata);
    fix(states_.size() - 1, 1, FixedUse::kBad, FrameState::kBad);
  }

  std::mt19937_64 random_;
  Space space_;
  std::vector<FrameState> states_;
  std::vector<Reservation> reservations_;
  std::vector<Extent> owned_;
  std::vector<Extent> held_;
  std::vector<View> views_;
};

class SpaceModelOf : public testing::TestWithParam<uint64_t> {};

TEST_P(SpaceModelOf, DoesWhatAListOfFramesDoes) {
  const uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  SpaceModel model(seed, GetParam());
  for (int step = 0; step < 3000 && !testing::Test::HasFatalFailure(); ++step) {
    SCOPED_TRACE("step " + std::to_string(step));
    model.step();
    if (step % 50 == 0) model.compare();
  }
  model.compare();
}

INSTANTIATE_TEST_SUITE_P(Devices, SpaceModelOf,
                         testing::Values(kGroupFrames + 4, 2 * kGroupFrames, 3 * kGroupFrames + 1000));

}  // namespace
}  // namespace dmap
