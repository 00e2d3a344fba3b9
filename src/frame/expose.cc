// SPDX-License-Identifier: Apache-2.0
//
// Taking holds: which descriptor stands for a frame, and counting on it.
#include <algorithm>
#include <optional>
#include <thread>

#include "base/check.h"
#include "frame/drop.h"
#include "frame/frame_table.h"
#include "frame/words.h"

namespace dmap {
namespace {

enum class Claim : uint8_t {
  kRun,      // a hold on the large descriptor was counted
  kFrames,   // the section's frames have descriptors of their own, and it stays so while our claim is counted
  kAgain,    // an owner hand-over is under way
  kRefused,  // the run is held, and not for us
  kAbsent,   // the region has no memory yet
};

/// Decides by a section's word alone what `frames` of its frames are held by, and what the word becomes.
///
/// This is where a run is made and where it is split (F6). Both happen only at count 0: while a run is held, a hold on
/// a part of it counts on the whole, so nobody needs a split. The word carries size, version and count, and one
/// exchange changes them together: an exchange that finds the word it read, found nobody counted; anybody who read the
/// old word and counts later finds another version, fails, and decides anew. So no hold is ever on a descriptor that
/// does not stand for its frame, and dropping can tell from the word what a hold of it was counted on.
Claim claim(Word word, uint64_t frames, Owner owner, Grain grain, Word& next) {
  bool idle = word.count() == 0;
  if (idle && frames == kSectionFrames && grain == Grain::kLargest) {
    next = word.with(Word::kLarge).with_owner(owner).plus(1).next_version();
    return Claim::kRun;
  }
  if (idle || !word.has(Word::kLarge)) {
    CHECK(word.can_count(frames));  // at most 512 and 512 more for each call at work
    next = (word.has(Word::kLarge) ? word.without(Word::kLarge).next_version() : word).plus(frames);
    return Claim::kFrames;
  }
  if (word.has(Word::kMoving)) return Claim::kAgain;
  if (word.owner() != owner || grain == Grain::kFrame || !word.can_count(1)) return Claim::kRefused;
  next = word.plus(1);
  return Claim::kRun;
}

enum class Count : uint8_t { kFirst, kMore, kAgain, kRefused };

/// Counts a hold on a frame's descriptor; `seen` is the word it was decided by.
Count count_on(Page& page, Owner owner, Word& seen) {
  Count outcome{};
  seen = update(page.word, [&](Word word) -> std::optional<Word> {
    if (word.has(Word::kDead) || word.has(Word::kMoving)) {
      outcome = Count::kAgain;
      return std::nullopt;
    }
    if (word.count() == 0) {
      outcome = Count::kFirst;
      return word.with_owner(owner).plus(1).next_version();
    }
    if (word.owner() != owner || !word.can_count(1)) {
      outcome = Count::kRefused;
      return std::nullopt;
    }
    outcome = Count::kMore;
    return word.plus(1);
  });
  return outcome;
}

}  // namespace

/// How far a section's frames are held: [part.first, reached), `fresh` of which were exposed by it.
struct FrameTable::Progress {
  uint64_t reached = 0;
  uint64_t fresh = 0;
};

Result<Exposure> FrameTable::expose(Extent extent, Owner owner, Grain grain) {
  CHECK(owner != Owner::kNone);
  Directory& directory = *DMAP_TRY(directory_for(extent, "expose"));
  uint64_t first = index_of(extent.first);
  uint64_t end = first + extent.count.value;
  for (uint64_t index = first; index < end;) {
    Part part = part_at(index, end);
    if (auto held = hold(directory, part, owner, grain); !held) {
      if (index > first) drop({extent.first, FrameCount{index - first}});
      return std::unexpected(std::move(held).error().within("expose", in_words(extent)));
    }
    index += part.count();
  }
  return Exposure(*this, extent, owner);
}

Result<void> FrameTable::hold(Directory& directory, Part part, Owner owner, Grain grain) {
  Section& section = directory.section(part.section);
  uint64_t region = part.section / kRegionSections;
  for (;;) {
    Claim outcome = Claim::kAbsent;
    Word seen;
    {
      RcuReadSection reading;
      if (directory.enter(region)) {
        seen = update(section.run.word, [&](Word word) -> std::optional<Word> {
          Word next;
          outcome = claim(word, part.count(), owner, grain, next);
          return outcome == Claim::kRun || outcome == Claim::kFrames ? std::optional(next) : std::nullopt;
        });
        // A run that was frames a moment ago does not need their blocks.
        if (outcome == Claim::kRun && !seen.has(Word::kLarge)) unhook_idle_blocks(directory, section);
      }
    }
    switch (outcome) {
      case Claim::kRun: return {};
      case Claim::kFrames: return hold_frames(directory, part, owner);
      case Claim::kRefused:
        return refuse(directory.first_of_section(part.section) + FrameCount{part.first}, seen, owner);
      case Claim::kAbsent: DMAP_TRY(with_memory([&] { return directory.populate(region); })); break;
      case Claim::kAgain: std::this_thread::yield(); break;
    }
  }
}

/// Holds frames that have descriptors of their own. The section's count has a claim of part.count() of ours in it: it
/// is turned into the count of the frames that we are the first to expose, and the rest is taken off again.
Result<void> FrameTable::hold_frames(Directory& directory, Part part, Owner owner) {
  Progress progress{.reached = part.first};
  while (progress.reached < part.last) {
    auto held = hold_in_block(directory, part, owner, progress);
    if (held) continue;
    Freed freed;
    uint64_t idle = drop_frames(directory, {part.section, part.first, progress.reached}, freed);
    leave(directory, part.section, part.count() - progress.fresh + idle);
    tell_released(directory, part.section, freed);
    return held;
  }
  leave(directory, part.section, part.count() - progress.fresh);
  return {};
}

/// Goes on to the end of the block that progress.reached lies in, or a bit less far.
Result<void> FrameTable::hold_in_block(Directory& directory, Part part, Owner owner, Progress& progress) {
  Section& section = directory.section(part.section);
  uint64_t number = progress.reached / kBlockFrames;
  uint64_t last = std::min(part.last, (number + 1) * kBlockFrames);
  Count outcome = Count::kFirst;
  Word seen;
  {
    RcuReadSection reading;
    if (Block* block = directory.hooked_block(section, number)) {
      while (progress.reached < last) {
        outcome = count_on(block->pages[progress.reached % kBlockFrames], owner, seen);
        if (outcome == Count::kAgain || outcome == Count::kRefused) break;
        progress.fresh += outcome == Count::kFirst ? 1 : 0;
        ++progress.reached;
      }
    }
  }
  if (outcome == Count::kRefused) {
    return refuse(directory.first_of_section(part.section) + FrameCount{progress.reached}, seen, owner);
  }
  if (outcome == Count::kAgain) std::this_thread::yield();
  if (progress.reached < last && outcome != Count::kAgain) return hook_block(directory, part.section, number);
  return {};
}

Result<void> FrameTable::hook_block(Directory& directory, uint64_t section, uint64_t number) {
  Pfn first = directory.first_of_section(section) + FrameCount{number * kBlockFrames};
  Block* block = nullptr;
  DMAP_TRY(with_memory([&]() -> Result<void> {
    block = DMAP_TRY(pool_->take(first));
    return {};
  }));
  uint32_t none = 0;
  // release: publishes the block's descriptors; pairs with the acquire in Directory::block().
  if (!directory.section(section).blocks[number].compare_exchange_strong(
          none, pool_->offset_of(*block), std::memory_order_release, std::memory_order_relaxed)) {
    pool_->give(*block);  // another expose was quicker; nobody saw this one
  }
  return {};
}

std::unexpected<Error> FrameTable::refuse(Pfn pfn, Word word, Owner owner) const {
  if (word.count() > 0 && word.has(Word::kLarge) && word.owner() == owner && word.can_count(1)) {
    return fail(Code::kBusy, "expose", in_words(pfn), in_words(pfn) + " is held as part of a whole 2 MiB run");
  }
  if (!word.can_count(1) || word.owner() == owner || word.count() == 0) {
    return fail(Code::kBusy, "expose", in_words(pfn), in_words(pfn) + " has as many holds as can be counted");
  }
  return fail(Code::kOtherOwner, "expose", in_words(pfn), in_words(pfn) + " belongs to " + name_of_owner(word.owner()));
}

}  // namespace dmap
