// SPDX-License-Identifier: Apache-2.0
#include "frame/idle.h"

#include "frame/frame_table.h"

namespace dmap {

IdleQueue::IdleQueue(size_t sections_max) {
  ring_.with([&](Ring& ring) { ring.places.resize(sections_max); });
}

std::optional<Pfn> IdleQueue::push(Pfn section) {
  return ring_.with([&](Ring& ring) -> std::optional<Pfn> {
    size_t size = ring.places.size();
    if (size == 0) return section;
    if (ring.used < size) {
      ring.places[(ring.first + ring.used++) % size] = section;
      return std::nullopt;
    }
    Pfn oldest = std::exchange(ring.places[ring.first], section);
    ring.first = (ring.first + 1) % size;
    return oldest;
  });
}

std::optional<Pfn> IdleQueue::pop() {
  return ring_.with([&](Ring& ring) -> std::optional<Pfn> {
    if (ring.used == 0) return std::nullopt;
    --ring.used;
    return ring.places[std::exchange(ring.first, (ring.first + 1) % ring.places.size())];
  });
}

std::vector<Pfn> IdleQueue::snapshot() const {
  return ring_.with([&](const Ring& ring) {
    std::vector<Pfn> sections;
    for (size_t i = 0; i < ring.used; ++i) sections.push_back(ring.places[(ring.first + i) % ring.places.size()]);
    return sections;
  });
}

bool RegionCloser::propose(Directory& directory, uint64_t region) {
  return state_.with([&](State& state) {
    Batch& batch = state.batches[state.filling];
    if (batch.used == batch.entries.size()) return false;
    if (!directory.propose_close(region, batch.name)) return true;  // on its way already
    batch.closer = this;
    batch.entries[batch.used++] = {.directory = &directory, .region = region};
    if (!state.flying) launch(state);
    return true;
  });
}

bool RegionCloser::idle() const {
  return state_.with([](const State& state) { return !state.flying && state.batches[state.filling].used == 0; });
}

void RegionCloser::launch(State& state) {
  Batch* leaving = &state.batches[state.filling];
  state.filling ^= 1;
  state.flying = true;
  // A name comes round after 253 batches; only two are ever under way.
  state.next_name = state.next_name == 0xff ? kFirstClosing : static_cast<RegionState>(state.next_name + 1);
  state.batches[state.filling].name = state.next_name;
  state.batches[state.filling].used = 0;
  rcu_retire<&RegionCloser::land>(leaving);
}

void RegionCloser::land(Batch* batch) {
  for (size_t i = 0; i < batch->used; ++i) batch->entries[i].directory->close(batch->entries[i].region, batch->name);
  RegionCloser* closer = batch->closer;
  closer->state_.with([&](State& state) {
    state.flying = false;
    if (state.batches[state.filling].used > 0) closer->launch(state);
  });
}

namespace {

/// Unhooks a block that nobody holds a page of, and lets it go after a grace period. Each word is exchanged from idle
/// to dead: who counted before keeps the block, who comes later sees that it is dead and looks the slot up again.
/// Inside a read section, which keeps the block while another thread may be unhooking it too.
void unhook_if_idle(Directory& directory, Section& section, uint64_t number) {
  Block* block = directory.hooked_block(section, number);
  if (block == nullptr) return;
  uint64_t dead = 0;
  for (; dead < kBlockFrames; ++dead) {
    Word seen = update(block->pages[dead].word, [](Word word) -> std::optional<Word> {
      if (word.count() != 0 || word.has(Word::kDead)) return std::nullopt;
      return word.with(Word::kDead);
    });
    if (seen.count() != 0 || seen.has(Word::kDead)) break;
  }
  if (dead < kBlockFrames) {
    while (dead-- > 0) {
      update(block->pages[dead].word, [](Word word) { return std::optional(word.without(Word::kDead)); });
    }
    return;
  }
  // release: our dead marks come first, for whoever hooks the next block here.
  section.blocks[number].store(0, std::memory_order_release);
  DescriptorPool::retire(*block);
}

bool has_blocks(const Section& section) {
  for (const auto& slot : section.blocks) {
    if (slot.load(std::memory_order_relaxed) != 0) return true;
  }
  return false;
}

}  // namespace

void FrameTable::unhook_idle_blocks(Directory& directory, Section& section) {
  for (uint64_t number = 0; number < kSectionBlocks; ++number) unhook_if_idle(directory, section, number);
}

/// A section, marked as queued by our caller, has nothing exposed any more.
void FrameTable::note_idle(Pfn section) {
  for (auto oldest = idle_.push(section); oldest;) {
    oldest = settle(*oldest) ? idle_.push(*oldest) : std::nullopt;
  }
}

/// Takes a section that left the queue back to nothing, unless it came into use again. True if it has to be queued
/// again: it was used and left while we were at it.
bool FrameTable::settle(Pfn section_pfn) {
  RcuReadSection reading;
  Directory* owner = directory(device_of(section_pfn));
  if (owner == nullptr || index_of(section_pfn) >= owner->frames().value) return false;  // the device is gone
  Section& section = owner->section(index_of(section_pfn) / kSectionFrames);
  // acquire: pairs with update(). A count that rises afterwards meets dead words, or blocks still hooked.
  if (section.run.word.load(std::memory_order_acquire).count() == 0) unhook_idle_blocks(*owner, section);
  Word before = update(section.run.word, [](Word word) { return std::optional(word.without(Word::kQueued)); });
  if (before.count() != 0) return false;  // in use: queued when it is left
  if (has_blocks(section)) {
    Word seen = update(section.run.word, [](Word word) -> std::optional<Word> {
      if (word.count() != 0 || word.has(Word::kQueued)) return std::nullopt;
      return word.with(Word::kQueued);
    });
    return seen.count() == 0 && !seen.has(Word::kQueued);
  }
  uint64_t region = index_of(section_pfn) / kRegionFrames;
  if (owner->vacant(region)) closer_.propose(*owner, region);
  return false;
}

/// Unhooks what is idle in a device. True if a vacant region has to be asked for again.
bool FrameTable::sweep(Directory& directory) {
  bool more = false;
  for (uint64_t region = 0; region < directory.regions(); ++region) {
    if (!directory.present(region)) continue;
    RcuReadSection reading;
    uint64_t first = region * kRegionSections;
    for (uint64_t number = first; number < first + kRegionSections; ++number) {
      unhook_idle_blocks(directory, directory.section(number));
    }
    if (directory.vacant(region) && !closer_.propose(directory, region)) more = true;
  }
  return more;
}

void FrameTable::wait_for_closing() const {
  do {
    rcu_barrier_all();
  } while (!closer_.idle());
}

void FrameTable::trim() {
  for (bool more = true; more;) {
    more = release_idle();
    wait_for_closing();
  }
}

/// Unhooks everything that is idle; its memory is back after a grace period. True if that takes another turn.
bool FrameTable::release_idle() {
  // Not until the queue is empty: others may be filling it.
  for (size_t turns = idle_.snapshot().size(); turns > 0; --turns) {
    auto section = idle_.pop();
    if (section && settle(*section)) note_idle(*section);
  }
  bool more = false;
  MutexLock lock(devices_mutex_);
  for (const auto& directory : directories_) more = sweep(*directory) || more;
  return more;
}

/// Does `action`; while the budget refuses it, takes back what is idle, waits if there is any, and does it again.
Result<void> FrameTable::with_memory(FunctionRef<Result<void>()> action) {
  auto done = action();
  for (bool more = true; more && !done;) {
    if (done.error().code() != Code::kNoDescriptors || urcu_bp_read_ongoing() != 0) break;
    more = release_idle();
    if (pool_->usage().retiring == 0 && closer_.idle()) break;
    wait_for_closing();
    done = action();
  }
  return done;
}

}  // namespace dmap
