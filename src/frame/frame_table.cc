// SPDX-License-Identifier: Apache-2.0
#include "frame/frame_table.h"

#include <algorithm>
#include <optional>

#include "base/check.h"
#include "frame/words.h"

namespace dmap {
namespace {

constexpr size_t kDevices = size_t{1} << (64 - kPfnIndexBits);

}  // namespace

FrameTable::FrameTable(Options options, std::unique_ptr<DescriptorPool> pool, SparseMemory devices)
    : options_(std::move(options)),
      pool_(std::move(pool)),
      device_memory_(std::move(devices)),
      devices_(device_memory_.as<std::atomic<Directory*>>()),
      removed_(Directory::none(*pool_)),
      idle_(options_.idle_sections_max) {}

Result<std::unique_ptr<FrameTable>> FrameTable::create(Options options) {
  // liburcu starts the thread that retires memory on first use, and aborts if it cannot: so use it here, not in a drop.
  (void)urcu_bp_get_default_call_rcu_data();
  auto pool = DMAP_TRY(DescriptorPool::create(options.pool));
  auto devices = DMAP_TRY(
      SparseMemory::create(Bytes{kDevices * sizeof(std::atomic<Directory*>)}, SparseMemory::Access::kReadWrite));
  return std::unique_ptr<FrameTable>(new FrameTable(std::move(options), std::move(pool), std::move(devices)));
}

FrameTable::~FrameTable() {
  MutexLock lock(devices_mutex_);
  for (const auto& directory : directories_) {
    CHECK(!anything_exposed({make_pfn(directory->device(), 0), directory->frames()}));
    sweep(*directory);
  }
  wait_for_closing();
}

Result<void> FrameTable::add_device(DeviceNumber device, FrameCount declared_max) {
  MutexLock lock(devices_mutex_);
  if (declared_max == FrameCount{0}) {
    return fail(Code::kInvalid, "attach device", std::to_string(static_cast<unsigned>(device)), "it has no frames");
  }
  if (directory(device) != nullptr) {
    return fail(Code::kExists, "attach device", std::to_string(static_cast<unsigned>(device)),
                "a number is never used twice");
  }
  directories_.push_back(DMAP_TRY(Directory::create(device, declared_max, *pool_)));
  // release: publishes the directory; pairs with the acquire in pfn_to_page() and directory().
  devices_[static_cast<size_t>(device)].store(directories_.back().get(), std::memory_order_release);
  return {};
}

Result<DeviceNumber> FrameTable::add_foreign_device(FrameCount frames) {
  for (;;) {
    std::optional<DeviceNumber> number;
    {
      MutexLock lock(devices_mutex_);
      if (next_foreign_ > 0) number = DeviceNumber{static_cast<uint16_t>(next_foreign_--)};
    }
    if (!number) return fail(Code::kNoSpace, "attach", "foreign range", "all device numbers were used");
    auto added = add_device(*number, frames);
    if (added) return *number;
    if (added.error().code() != Code::kExists) return std::unexpected(std::move(added).error());
  }
}

Result<void> FrameTable::remove_device(DeviceNumber device) {
  MutexLock lock(devices_mutex_);
  auto owner = std::ranges::find(directories_, device, [](const auto& each) { return each->device(); });
  if (owner == directories_.end()) {
    return fail(Code::kNotFound, "remove device", std::to_string(static_cast<unsigned>(device)));
  }
  std::optional<Extent> held;
  (void)visit_exposed({make_pfn(device, 0), (*owner)->frames()}, [&](Extent extent) {
    held = extent;
    return false;
  });
  if (held) {
    return fail(Code::kBusy, "remove device", std::to_string(static_cast<unsigned>(device)),
                "something is exposed in " + in_words(*held));
  }
  sweep(**owner);
  // release: nothing is published; the order only keeps the sweep before it. Lookups that saw the old one are waited
  // for.
  devices_[static_cast<size_t>(device)].store(removed_.get(), std::memory_order_release);
  rcu_synchronize();
  wait_for_closing();
  directories_.erase(owner);
  return {};
}

Result<Owner> FrameTable::register_owner(std::string_view label) {
  return foreign_owners_.with([&](std::vector<std::string>& labels) -> Result<Owner> {
    size_t number = static_cast<size_t>(Owner::kFirstForeign) + labels.size();
    if (number > 0xff) return fail(Code::kNoSpace, "register owner", label, "there are 240 already");
    labels.emplace_back(label);
    return static_cast<Owner>(number);
  });
}

std::string FrameTable::name_of_owner(Owner owner) const {
  if (owner == Owner::kFileStore) return "the file store";
  if (owner == Owner::kRamCache) return "the RAM cache";
  return foreign_owners_.with([&](const std::vector<std::string>& labels) {
    size_t number = static_cast<size_t>(owner) - static_cast<size_t>(Owner::kFirstForeign);
    return owner >= Owner::kFirstForeign && number < labels.size() ? labels[number] : std::string("nobody");
  });
}

Result<Directory*> FrameTable::directory_for(Extent extent, std::string_view operation) const {
  Directory* owner = directory(device_of(extent.first));
  uint64_t frames = owner != nullptr ? owner->frames().value : 0;
  uint64_t first = index_of(extent.first);
  if (extent.count > FrameCount{0} && first < frames && extent.count.value <= frames - first) return owner;
  return fail(Code::kInvalid, operation, in_words(extent), "no such frames");
}

FrameTable::Part FrameTable::part_at(uint64_t index, uint64_t end) {
  uint64_t section = index / kSectionFrames;
  uint64_t start = section * kSectionFrames;
  return {.section = section, .first = index - start, .last = std::min(end - start, kSectionFrames)};
}

Result<void> FrameTable::hand_over(Exposure& exposure, Owner to) {
  CHECK(exposure.table_ == this && to != Owner::kNone);
  // Two steps, so that it is all or nothing: mark every word as moving, which makes others wait before they count; then
  // change every owner. Our holds keep the words where they are.
  std::optional<Pfn> shared;
  auto mark = [&](std::atomic<Word>& word, Pfn pfn) {
    Word seen = update(word, [](Word old) -> std::optional<Word> {
      if (old.count() != 1 || old.has(Word::kMoving)) return std::nullopt;
      return old.with(Word::kMoving);
    });
    if (seen.count() != 1 || seen.has(Word::kMoving)) shared = pfn;
    return !shared;
  };
  uint64_t marked = for_each_word(exposure.extent_, mark);
  uint64_t left = marked;
  Owner owner = shared ? exposure.owner_ : to;
  (void)for_each_word(exposure.extent_, [&](std::atomic<Word>& word, Pfn) {
    if (left == 0) return false;
    --left;
    update(word, [&](Word old) { return std::optional(old.with_owner(owner).without(Word::kMoving)); });
    return true;
  });
  if (shared) return fail(Code::kBusy, "hand over", in_words(exposure.extent_), in_words(*shared) + " has more holds");
  exposure.owner_ = to;
  return {};
}

/// Calls `visit` for the word of each descriptor that stands for frames of a held extent, until it answers false.
/// Returns how often it answered true.
uint64_t FrameTable::for_each_word(Extent held, FunctionRef<bool(std::atomic<Word>&, Pfn)> visit) {
  Directory& owner = *directory(device_of(held.first));
  uint64_t end = index_of(held.first) + held.count.value;
  uint64_t visited = 0;
  for (uint64_t index = index_of(held.first); index < end;) {
    Part part = part_at(index, end);
    Section& section = owner.section(part.section);
    Pfn first = owner.first_of_section(part.section);
    // acquire: pairs with the exchange that made the section what it is. The hold keeps it so.
    if (section.run.word.load(std::memory_order_acquire).has(Word::kLarge)) {
      if (!visit(section.run.word, first)) return visited;
      ++visited;
    } else {
      for (uint64_t frame = part.first; frame < part.last; ++frame, ++visited) {
        Page& page = owner.block(section, frame / kBlockFrames).pages[frame % kBlockFrames];
        if (!visit(page.word, first + FrameCount{frame})) return visited;
      }
    }
    index += part.count();
  }
  return visited;
}

}  // namespace dmap
