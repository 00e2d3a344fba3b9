// SPDX-License-Identifier: Apache-2.0
//
// Looking at the whole table: what is exposed, how much of it, and whether the invariants hold.
#include <algorithm>
#include <unordered_set>

#include "base/check.h"
#include "frame/frame_table.h"
#include "frame/words.h"

namespace dmap {
namespace {

/// acquire: pairs with update().
Word word_of(const Page& page) { return page.word.load(std::memory_order_acquire); }

std::unexpected<Error> broken(std::string_view what, Pfn where) {
  return fail(Code::kCorrupt, "check frame table", in_words(where), what);
}

/// T1-T3 for one section; adds its hooked blocks to `blocks`.
Result<void> check_section(const Directory& directory, uint64_t number, uint64_t& blocks) {
  const Section& section = directory.section(number);
  Pfn first = directory.first_of_section(number);
  Word word = word_of(section.run);
  if (section.run.pfn != first) return broken("T3: the run has another pfn", first);
  if (word.has(Word::kMoving) || word.has(Word::kDead)) return broken("T2: moving or dead at rest", first);
  if (word.has(Word::kFreed) && word.count() == 0) return broken("T7: freed mark without a hold", first);
  uint64_t held = 0;
  for (uint64_t b = 0; b < kSectionBlocks; ++b) {
    const Block* block = directory.hooked_block(section, b);
    if (block == nullptr) continue;
    ++blocks;
    for (uint64_t i = 0; i < kBlockFrames; ++i) {
      const Page& page = block->pages[i];
      Pfn pfn = first + FrameCount{b * kBlockFrames + i};
      Word each = word_of(page);
      if (page.pfn != pfn) return broken("T3: the page has another pfn", pfn);
      if (each.has(Word::kMoving) || each.has(Word::kDead)) return broken("T2: moving or dead at rest", pfn);
      if (each.has(Word::kFreed) && each.count() == 0) return broken("T7: freed mark without a hold", pfn);
      if (each.count() > 0 && each.owner() == Owner::kNone) return broken("T2: held by nobody", pfn);
      held += each.count() > 0 ? 1 : 0;
    }
  }
  if (held != (word.has(Word::kLarge) ? 0 : word.count())) return broken("T1: the section's count is wrong", first);
  return {};
}

}  // namespace

bool FrameTable::visit_exposed(Extent extent, FunctionRef<bool(Extent)> visit) const {
  const Directory* owner = directory(device_of(extent.first));
  if (owner == nullptr) return true;
  uint64_t end = std::min(index_of(extent.first) + extent.count.value, owner->frames().value);
  auto exposed = [&](Part part) {
    RcuReadSection reading;
    const Section& section = owner->section(part.section);
    Word word = word_of(section.run);
    if (word.count() == 0) return false;
    if (word.has(Word::kLarge) || part.count() == kSectionFrames) return true;
    for (uint64_t frame = part.first; frame < part.last; ++frame) {
      const Block& block = owner->block(section, frame / kBlockFrames);
      if (word_of(block.pages[frame % kBlockFrames]).count() > 0) return true;
    }
    return false;
  };
  for (uint64_t index = index_of(extent.first); index < end;) {
    if (uint64_t region = index / kRegionFrames; !owner->present(region)) {
      index = (region + 1) * kRegionFrames;
      continue;
    }
    Part part = part_at(index, end);
    if (exposed(part) && !visit({make_pfn(owner->device(), index), FrameCount{part.count()}})) return false;
    index += part.count();
  }
  return true;
}

bool FrameTable::anything_exposed(Extent extent) const {
  return !visit_exposed(extent, [](Extent) { return false; });
}

void FrameTable::for_each_exposed_section(Extent extent, FunctionRef<void(Extent)> visit) const {
  (void)visit_exposed(extent, [&](Extent part) {
    visit(part);
    return true;
  });
}

/// Calls `visit(directory, section number)` for each section that has memory. Inside a read section for each region.
void FrameTable::for_each_present_section(FunctionRef<void(const Directory&, uint64_t)> visit) const {
  MutexLock lock(devices_mutex_);
  for (const auto& directory : directories_) {
    for (uint64_t region = 0; region < directory->regions(); ++region) {
      if (!directory->present(region)) continue;
      RcuReadSection reading;
      uint64_t first = region * kRegionSections;
      for (uint64_t number = first; number < first + kRegionSections; ++number) visit(*directory, number);
    }
  }
}

FrameTable::Statistics FrameTable::statistics() const {
  DescriptorPool::Usage usage = pool_->usage();
  Statistics sum{.blocks = usage.blocks, .in_use = usage.in_use, .granted = usage.granted, .budget = usage.budget};
  for_each_present_section([&](const Directory& directory, uint64_t number) {
    const Section& section = directory.section(number);
    Word word = word_of(section.run);
    if (word.has(Word::kLarge) && word.count() > 0) {
      sum.exposed_frames += kSectionFrames;
      sum.large_pages += 1;
      sum.holds += word.count();
      return;
    }
    bool blocks = false;
    for (uint64_t b = 0; b < kSectionBlocks; ++b) {
      const Block* block = directory.hooked_block(section, b);
      if (block == nullptr) continue;
      blocks = true;
      for (const Page& page : block->pages) {
        uint64_t holds = word_of(page).count();
        sum.holds += holds;
        sum.exposed_frames += holds > 0 ? 1 : 0;
      }
    }
    sum.idle_sections += blocks && word.count() == 0 ? 1 : 0;
  });
  return sum;
}

Result<void> FrameTable::check_invariants() const {
  wait_for_closing();  // what waits for a grace period is back in the pool, and no region is between two states
  uint64_t blocks = 0;
  Result<void> sound;
  std::unordered_set<uint64_t> queued;
  for (Pfn section : idle_.snapshot()) {
    bool once = queued.insert(static_cast<uint64_t>(section)).second;
    if (!once && sound) sound = broken("T6: the section is queued twice", section);
  }
  auto gone = [&](uint64_t pfn) { return index_of(Pfn{pfn}) >= directory(device_of(Pfn{pfn}))->frames().value; };
  std::erase_if(queued, gone);  // of a device that was removed since: the queue forgets them in time
  for_each_present_section([&](const Directory& directory, uint64_t number) {
    if (sound) sound = check_section(directory, number, blocks);
    Pfn first = directory.first_of_section(number);
    bool is_marked = word_of(directory.section(number).run).has(Word::kQueued);
    if (sound && is_marked != (queued.erase(static_cast<uint64_t>(first)) == 1)) {
      sound = broken("T6: the queue and the section's word differ", first);
    }
  });
  DMAP_TRY(std::move(sound));
  if (!queued.empty()) return broken("T6: a section without memory is queued", Pfn{*queued.begin()});
  DescriptorPool::Usage usage = pool_->usage();
  if (usage.blocks != blocks) return broken("T4: blocks are lost", Pfn{});
  if (usage.granted > usage.budget) return broken("T5: more is granted than the budget allows", Pfn{});
  uint64_t regions = 0;
  MutexLock lock(devices_mutex_);
  for (const auto& directory : directories_) {
    for (uint64_t region = 0; region < directory->regions(); ++region) regions += directory->present(region) ? 1 : 0;
  }
  if (usage.in_use != Bytes{blocks * sizeof(Block)} + kFrameSize * regions) {
    return broken("T5: the regions' memory is not what was charged", Pfn{});
  }
  return {};
}

}  // namespace dmap
