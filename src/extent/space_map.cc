// SPDX-License-Identifier: Apache-2.0
#include "extent/space_map.h"

#include <algorithm>
#include <bit>
#include <string>

#include "base/check.h"

namespace dmap {

namespace {

/// A request that meets so many full groups in a row goes on elsewhere: after opening an old volume nothing is known
/// of its groups, and full ones come in herds.
constexpr unsigned kFullGroupsInARowMax = 8;
/// Groups looked at by reserve_run() once it has something long enough.
constexpr uint64_t kRunSearchGroupsMax = 1024;

std::string name_of(Extent extent) {
  return "device " + std::to_string(static_cast<unsigned>(device_of(extent.first))) + " frames [" +
         std::to_string(index_of(extent.first)) + ", " + std::to_string(index_of(extent.first) + extent.count.value) +
         ")";
}

}  // namespace

Result<std::unique_ptr<SpaceMap>> SpaceMap::create(DeviceNumber device, FrameCount frames, FrameCount owned,
                                                   GroupSource& source, HoldChecker& holds, ViewSlots& views,
                                                   Limits limits) {
  SpaceBook book = DMAP_TRY(SpaceBook::create(device, frames, owned));
  return std::unique_ptr<SpaceMap>(new SpaceMap(std::move(book), source, holds, views, limits));
}

SpaceMap::SpaceMap(SpaceBook book, GroupSource& source, HoldChecker& holds, ViewSlots& views, Limits limits)
    : device_(book.device()),
      groups_(book.groups()),
      source_(source),
      holds_(holds),
      views_(views),
      limits_(limits),
      book_(std::move(book)) {}

// The source may wait for a lock that somebody holds who waits for ours, so it is asked without. Two threads may load
// the same group; the second copy is dropped, and equals the first, since only loaded groups are ever stored.
Result<SpaceMap::Space> SpaceMap::load(uint64_t number) {
  const uint32_t frames = book_.with([&](const SpaceBook& book) { return book.frames_of(number); });
  GroupBits owned{};
  if (const auto stored = DMAP_TRY(source_.load(number))) {
    auto decoded = decode_group(stored->bytes(), frames);
    if (!decoded) {
      return std::unexpected(std::move(decoded).error().within(
          "load free space",
          "device " + std::to_string(static_cast<unsigned>(device_)) + " group " + std::to_string(number)));
    }
    owned = *decoded;
  }
  auto group = std::make_unique<Group>(make_pfn(device_, number * kGroupFrames), frames, owned);
  return book_.with([&](SpaceBook& book) -> Result<Space> {
    DMAP_TRY(book.install(std::move(group)));
    return book.group(number)->count(FrameState::kFree) > 0 ? Space::kSome : Space::kNone;
  });
}

Result<void> SpaceMap::load_all(Extent extent, std::string_view operation) {
  const bool inside = book_.with([&](const SpaceBook& book) { return book.contains(extent); });
  if (!inside) return fail(Code::kCorrupt, operation, name_of(extent), "not on this device");
  const uint64_t last = (index_of(extent.first) + extent.count.value - 1) / kGroupFrames;
  for (uint64_t group = index_of(extent.first) / kGroupFrames; group <= last; ++group) {
    const bool loaded = book_.with([&](const SpaceBook& book) { return book.group(group) != nullptr; });
    if (!loaded) DMAP_TRY(load(group));
  }
  return {};
}

Result<Reservation> SpaceMap::reserve(FrameCount want, SpaceHint hint) {
  CHECK(want > FrameCount{0});
  auto reservation = try_reserve(want, hint);
  if (reservation || reservation.error().code() != Code::kNoSpace || !may_mature()) return reservation;
  mature();
  return try_reserve(want, hint);
}

Result<Reservation> SpaceMap::try_reserve(FrameCount want, const SpaceHint& hint) {
  Reservation reservation(*this);  // gives back what it has if we fail
  SpaceRequest request{.frames = want.value,
                       .goal = hint.near,
                       .large = hint.size == SpaceHint::Size::kLarge,
                       .piece_min = std::min(std::bit_ceil(std::max<uint64_t>(hint.piece_min.value, 1)), kLargeFrames)};
  unsigned full_groups_in_a_row = 0;
  for (;;) {
    const Taken last = book_.with([&](SpaceBook& book) {
      if (full_groups_in_a_row == kFullGroupsInARowMax) book.skip_ahead(), full_groups_in_a_row = 0;
      while (request.frames > 0 && book.free().value >= request.frames + limits_.kept_for_metadata.value) {
        const Taken taken = book.take(request);
        if (!std::holds_alternative<Extent>(taken)) return taken;
        const Extent piece = std::get<Extent>(taken);
        reservation.append(piece);
        request.frames -= piece.count.value;
        request.goal = piece.end();
      }
      return Taken{Nothing{}};
    });
    if (request.frames == 0) return reservation;
    const auto* unloaded = std::get_if<Unloaded>(&last);
    if (unloaded == nullptr) return std::unexpected(no_space(want, "in pieces as asked for"));
    const Space found = DMAP_TRY(load(unloaded->group));
    full_groups_in_a_row = found == Space::kNone ? full_groups_in_a_row + 1 : 0;
  }
}

Result<Reservation> SpaceMap::reserve_run(FrameCount want, FrameCount least) {
  CHECK(least > FrameCount{0} && want >= least);
  auto reservation = try_reserve_run(want, least);
  if (reservation || reservation.error().code() != Code::kNoSpace || !may_mature()) return reservation;
  mature();
  return try_reserve_run(want, least);
}

Result<Reservation> SpaceMap::try_reserve_run(FrameCount want, FrameCount least) {
  for (;;) {
    const Extent run = DMAP_TRY(find_run(want, least));
    Reservation reservation(*this);
    const bool still_free = book_.with([&](SpaceBook& book) {
      bool free = true;
      book.for_each_part(run, [&](Group* group, FrameRun part) {
        free &= group->next_not_in(FrameState::kFree, part.first, part.end()) == part.end();
      });
      if (free) book.change(run, FrameState::kFree, FrameState::kReserved);
      return free;
    });
    if (!still_free) continue;  // somebody made progress with a part of it
    reservation.append(run);
    return reservation;
  }
}

Result<Extent> SpaceMap::find_run(FrameCount want, FrameCount least) {
  Extent best{};
  Extent current{};
  auto look_at = [&](const Group& group) {
    group.for_each_run(FrameState::kFree, {0, kGroupFrames}, [&](FrameRun run) {
      const Extent found = group.extent_of(run);
      const bool goes_on = current.count > FrameCount{0} && current.end() == found.first;
      current = goes_on ? Extent{current.first, current.count + found.count} : found;
      if (current.count > best.count) best = current;
    });
  };
  uint64_t looked_at = 0;
  for (uint64_t from = 0; best.count < want && from < groups_;) {
    if (best.count >= least && ++looked_at > kRunSearchGroupsMax) break;
    const auto unloaded = book_.with([&](const SpaceBook& book) -> std::optional<uint64_t> {
      const auto next = book.next_with_space(from);
      const Group* group = next ? book.group(*next) : nullptr;
      if (next && group == nullptr) return next;
      if (group != nullptr) look_at(*group);
      from = next ? *next + 1 : groups_;
      return std::nullopt;
    });
    if (unloaded) DMAP_TRY(load(*unloaded));
  }
  if (best.count < least) return std::unexpected(no_space(least, "in one run"));
  best.count = std::min(best.count, want);
  return best;
}

Error SpaceMap::no_space(FrameCount want, std::string_view what) const {
  const SpaceCounts now = counts();
  auto number = [](FrameCount frames) { return std::to_string(frames.value); };
  return Error(Code::kNoSpace, "reserve " + number(want) + " frames " + std::string(what),
               "device " + std::to_string(static_cast<unsigned>(device_)),
               number(now.free) + " free, of which " + number(limits_.kept_for_metadata) + " are kept for metadata; " +
                   number(now.quarantined) + " freed but in quarantine, " + number(now.held) +
                   " of them held by pins or mappings");
}

void SpaceMap::cancel(const Reservation& reservation) {
  if (reservation.pieces().empty()) return;
  book_.with([&](SpaceBook& book) {
    for (Extent piece : reservation.pieces()) book.change(piece, FrameState::kReserved, FrameState::kFree);
  });
}

void SpaceMap::commit(Reservation reservation, SpaceUse use) {
  CHECK(reservation.map_ == this);
  const FrameState to = use == SpaceUse::kData ? FrameState::kOwned : FrameState::kMetadata;
  book_.with([&](SpaceBook& book) {
    for (Extent piece : reservation.pieces()) book.change(piece, FrameState::kReserved, to);
  });
  reservation.map_ = nullptr;  // nothing to give back
}

Result<void> SpaceMap::claim(Extent extent) {
  static constexpr FrameState kClaimable[] = {FrameState::kOwned, FrameState::kFree, FrameState::kFreed,
                                              FrameState::kSealed, FrameState::kDurable};
  return take_over(extent, kClaimable, FrameState::kOwned, "claim");
}

Result<void> SpaceMap::reserve_fixed(Extent extent, FixedUse use) {
  const FrameState to = use == FixedUse::kMetadata ? FrameState::kMetadata : FrameState::kBad;
  // In a replay a zone may take frames that an earlier record released, as claim() may.
  const FrameState from[] = {to, FrameState::kFree, FrameState::kFreed, FrameState::kSealed, FrameState::kDurable};
  return take_over(extent, from, to, "set aside");
}

Result<void> SpaceMap::take_over(Extent extent, std::span<const FrameState> from, FrameState to,
                                 std::string_view operation) {
  DMAP_TRY(load_all(extent, operation));
  return book_.with([&](SpaceBook& book) -> Result<void> {
    bool possible = true;
    book.for_each_part(extent, [&](Group* group, FrameRun part) {
      for (uint32_t at = part.first; at < part.end();) {
        const FrameState state = group->state(at);
        possible &= std::ranges::find(from, state) != from.end();
        at = group->next_not_in(state, at, part.end());
      }
    });
    if (!possible) return fail(Code::kCorrupt, operation, name_of(extent), "a part of it belongs to somebody else");
    book.for_each_part(extent, [&](Group* group, FrameRun part) {
      for (FrameState state : from) {
        if (state == to) continue;
        group->for_each_run(state, part, [&](FrameRun run) { book.change(*group, run, state, to); });
      }
    });
    return {};
  });
}

Result<void> SpaceMap::prepare_release(Extent extent) {
  DMAP_TRY(load_all(extent, "release"));
  const bool owned = book_.with([&](const SpaceBook& book) {
    bool all = true;
    book.for_each_part(extent, [&](Group* group, FrameRun part) {
      all &= group->next_not_in(FrameState::kOwned, part.first, part.end()) == part.end();
    });
    return all;
  });
  if (!owned) return fail(Code::kCorrupt, "release", name_of(extent), "a part of it is nobody's data");
  return {};
}

Result<void> SpaceMap::store_dirty_groups(const StoreGroup& store) {
  for (;;) {
    uint64_t number = 0;
    GroupBits owned;
    const bool found = book_.with([&](SpaceBook& book) {
      const Group* group = book.dirty.pop();
      if (group != nullptr) number = group->number(), owned = group->owned();
      return group != nullptr;
    });
    if (!found) return {};
    if (auto stored = store(number, encode_group(owned)); !stored) {
      mark_dirty(number);
      return stored;
    }
  }
}

void SpaceMap::mark_dirty(uint64_t group) {
  book_.with([&](SpaceBook& book) {
    CHECK(group < groups_ && book.group(group) != nullptr);
    book.dirty.push(*book.group(group));
  });
}

SpaceCounts SpaceMap::counts() const {
  return book_.with([](const SpaceBook& book) { return book.counts(); });
}

Result<FrameState> SpaceMap::state_of(Pfn pfn) {
  DMAP_TRY(load_all({pfn, FrameCount{1}}, "look at"));
  return book_.with([&](const SpaceBook& book) {
    return book.group(index_of(pfn) / kGroupFrames)->state(static_cast<uint32_t>(index_of(pfn) % kGroupFrames));
  });
}

bool SpaceMap::check_invariants() const {
  return book_.with([](const SpaceBook& book) { return book.check_invariants(); });
}

}  // namespace dmap
