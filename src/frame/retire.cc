// SPDX-License-Identifier: Apache-2.0
//
// What truncate asks of the frame table: which freed frames has somebody still got, and tell me when they let go.
#include <algorithm>
#include <bit>
#include <optional>

#include "base/bits.h"
#include "base/check.h"
#include "frame/frame_table.h"
#include "frame/runs.h"

namespace dmap {
namespace {

/// Marks a descriptor as freed if it is held; one operation decides against drop (T7).
bool mark_if_held(std::atomic<Word>& word) {
  Word seen = update(word, [](Word old) -> std::optional<Word> {
    if (old.count() == 0) return std::nullopt;
    return old.with(Word::kFreed);
  });
  return seen.count() != 0;
}

using Marks = std::array<uint64_t, kSectionBlocks>;

/// The bits of the frames [first, last) of a section.
Marks marks_of(uint64_t first, uint64_t last) {
  Marks marks{};
  for (uint64_t number = 0; number < kSectionBlocks; ++number) {
    uint64_t start = number * kBlockFrames;
    auto within = [&](uint64_t frame) {
      return static_cast<unsigned>(std::clamp(frame, start, start + kBlockFrames) - start);
    };
    marks[number] = mask_of(within(first), within(last));
  }
  return marks;
}

/// Marks the held ones among `frames` as freed and returns the others. Inside a read section.
Marks mark_held(Directory& directory, Section& section, Marks frames) {
  for (;;) {
    // acquire: pairs with update(): holds counted before the grace period are seen.
    Word word = section.run.word.load(std::memory_order_acquire);
    if (word.count() == 0) return frames;
    if (!word.has(Word::kLarge)) break;
    bool still_large = false;
    Word seen = update(section.run.word, [&](Word old) -> std::optional<Word> {
      still_large = old.has(Word::kLarge) && old.count() > 0;
      return still_large ? std::optional(old.with(Word::kFreed)) : std::nullopt;
    });
    if (still_large) return {};
    if (seen.count() == 0) return frames;
  }
  Marks unheld = frames;
  for (uint64_t number = 0; number < kSectionBlocks; ++number) {
    Block* block = directory.hooked_block(section, number);
    if (block == nullptr) continue;
    for (uint64_t left = frames[number]; left != 0; left &= left - 1) {
      auto frame = static_cast<unsigned>(std::countr_zero(left));
      if (mark_if_held(block->pages[frame].word)) unheld[number] &= ~(uint64_t{1} << frame);
    }
  }
  return unheld;
}

}  // namespace

void FrameTable::retire(Extent freed, FunctionRef<void(Extent)> unheld) {
  Directory* owner = directory(device_of(freed.first));
  uint64_t end = index_of(freed.first) + freed.count.value;
  CHECK(owner != nullptr && end <= owner->frames().value);
  Runs runs(unheld);
  for (uint64_t index = index_of(freed.first); index < end;) {
    uint64_t region = index / kRegionFrames;
    if (!owner->present(region)) {
      uint64_t next = std::min(end, (region + 1) * kRegionFrames);
      runs.add({make_pfn(owner->device(), index), FrameCount{next - index}});
      index = next;
      continue;
    }
    Part part = part_at(index, end);
    Marks free;
    {
      RcuReadSection reading;
      free = mark_held(*owner, owner->section(part.section), marks_of(part.first, part.last));
    }
    add_marked(runs, owner->first_of_section(part.section), free);
    index += part.count();
  }
  runs.close();
}

}  // namespace dmap
