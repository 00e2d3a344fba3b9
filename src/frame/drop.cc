// SPDX-License-Identifier: Apache-2.0
//
// Giving holds up. Nothing here allocates, splits or fails (F5).
#include "frame/drop.h"

#include "base/check.h"
#include "frame/frame_table.h"
#include "frame/runs.h"

namespace dmap {
namespace {

/// One hold less. Returns the word before; the last hold takes the freed mark with it, so that it never reaches the
/// frame's next life and exactly one drop sees it (T7).
Word drop_one(std::atomic<Word>& word, uint64_t idle_flags) {
  return update(word, [&](Word seen) {
    CHECK(seen.count() > 0);
    Word next = seen.minus(1);
    return std::optional(next.count() > 0 ? next : Word{next.without(Word::kFreed).bits | idle_flags});
  });
}

bool was_last(Word before) { return before.count() == 1; }

}  // namespace

Exposure& Exposure::operator=(Exposure&& other) noexcept {
  if (this != &other) {
    drop();
    table_ = std::exchange(other.table_, nullptr);
    extent_ = other.extent_;
    owner_ = other.owner_;
  }
  return *this;
}

void Exposure::drop() {
  if (FrameTable* table = std::exchange(table_, nullptr)) table->drop(extent_);
}

void FrameTable::drop(Extent extent) {
  Directory& owner = *directory(device_of(extent.first));
  uint64_t end = index_of(extent.first) + extent.count.value;
  for (uint64_t index = index_of(extent.first); index < end;) {
    Part part = part_at(index, end);
    drop_part(owner, part);
    index += part.count();
  }
}

void FrameTable::drop_part(Directory& directory, Part part) {
  Section& section = directory.section(part.section);
  Freed freed;
  // One read section from the count that falls to zero to the end of on_release(): no grace period fits in between, so
  // the frames cannot be handed out, freed and retired anew before it was told of these. It also keeps the device there
  // until the section is in the queue.
  RcuReadSection reading;
  // acquire: pairs with the exchange that made the section what it is. Our hold keeps it so.
  if (!section.run.word.load(std::memory_order_acquire).has(Word::kLarge)) {
    uint64_t idle = drop_frames(directory, part, freed);
    leave(directory, part.section, idle);
  } else {
    Word before = drop_one(section.run.word, Word::kQueued);
    freed.any = freed.run = was_last(before) && before.has(Word::kFreed);
    if (was_last(before) && !before.has(Word::kQueued)) note_idle(directory.first_of_section(part.section));
  }
  tell_released(directory, part.section, freed);
}

/// Drops frames that have descriptors of their own; returns how many of them nobody holds any more. Those are still in
/// the section's count, which keeps the section from changing: the caller takes them off with leave().
uint64_t FrameTable::drop_frames(Directory& directory, Part part, Freed& freed) {
  Section& section = directory.section(part.section);
  uint64_t idle = 0;
  for (uint64_t frame = part.first; frame < part.last; ++frame) {
    uint64_t number = frame / kBlockFrames;
    Word before = drop_one(directory.block(section, number).pages[frame % kBlockFrames].word, 0);
    if (!was_last(before)) continue;
    ++idle;
    if (!before.has(Word::kFreed)) continue;
    freed.any = true;
    freed.frames[number] |= uint64_t{1} << (frame % kBlockFrames);
  }
  return idle;
}

/// Takes `frames` off the count of a section that is not large, and queues it if that was all.
void FrameTable::leave(Directory& directory, uint64_t section, uint64_t frames) {
  if (frames == 0) return;
  RcuReadSection reading;  // keeps the device there until the section is in the queue
  Word before = update(directory.section(section).run.word, [&](Word word) {
    CHECK(word.count() >= frames && !word.has(Word::kLarge));
    Word next = word.minus(frames);
    return std::optional(next.count() > 0 ? next : next.with(Word::kQueued));
  });
  if (before.count() == frames && !before.has(Word::kQueued)) note_idle(directory.first_of_section(section));
}

void FrameTable::tell_released(const Directory& directory, uint64_t section, const Freed& freed) const {
  if (!freed.any || !options_.on_release) return;
  Pfn first = directory.first_of_section(section);
  if (freed.run) return options_.on_release({first, FrameCount{kSectionFrames}});
  Runs runs(options_.on_release);
  add_marked(runs, first, freed.frames);
  runs.close();
}

}  // namespace dmap
