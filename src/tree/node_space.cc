// SPDX-License-Identifier: Apache-2.0
#include "tree/node_space.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>

#include "base/bits.h"
#include "base/check.h"
#include "tree/node_check.h"

namespace dmap {
namespace {

struct FreeMemory {
  void operator()(void* memory) const { std::free(memory); }
};

bool test(const ZoneBits& bits, uint64_t index) { return (bits[index / 64] >> (index % 64) & 1) != 0; }
void set(ZoneBits& bits, uint64_t index) { bits[index / 64] |= uint64_t{1} << (index % 64); }
void clear(ZoneBits& bits, uint64_t index) { bits[index / 64] &= ~(uint64_t{1} << (index % 64)); }

uint64_t count_ones(const ZoneBits& bits) {
  uint64_t count = 0;
  for (uint64_t word : bits) count += static_cast<uint64_t>(std::popcount(word));
  return count;
}

/// A mixing step of SplitMix64, so that sums of what goes through it do not cancel out.
uint64_t mix(uint64_t x) {
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
  x = (x ^ x >> 27) * 0x94d049bb133111eb;
  return x ^ x >> 31;
}

}  // namespace

struct NodeSpace::Zone {
  Extent extent;
  const std::byte* bytes = nullptr;
  std::unique_ptr<NodeWord[], FreeMemory> words;  // from calloc: untouched ones cost no memory
  ZoneBits live{};
  ZoneBits frozen{};
  ZoneBits complete{};
  unsigned map_slot = 1;            // which of the two frames holds the map of `complete`
  uint64_t map_generation = 0;      // and since when
  uint64_t written_generation = 0;  // of the map that the checkpoint under way writes to the other one, 0 if none
  bool must_write = true;           // the other one may hold a map that would be mistaken for a newer one
  uint64_t available = 0;
  size_t next_word = 0;

  uint64_t count() const { return extent.count.value; }
  uint64_t index(Pfn pfn) const { return static_cast<uint64_t>(pfn) - static_cast<uint64_t>(extent.first); }
  uint64_t in_use(size_t word) const { return live[word] | frozen[word] | complete[word]; }
  std::span<const std::byte, kFrameSize.value> frame(uint64_t index) const {
    return std::span<const std::byte, kFrameSize.value>(bytes + index * kFrameSize.value, kFrameSize.value);
  }
  /// The frames of the zone that no tree refers to, among the 64 of a word.
  uint64_t free_in(size_t word) const {
    uint64_t begin = word * 64;
    if (begin >= count()) return 0;
    return ~in_use(word) & mask_of(0, static_cast<unsigned>(std::min<uint64_t>(64, count() - begin)));
  }
};

NodeSpace::NodeSpace(uint64_t volume) : volume_(volume) {}
NodeSpace::~NodeSpace() = default;

Result<NodeSpace::Zone*> NodeSpace::insert_zone(Extent extent, std::span<const std::byte> frames, Code code) {
  if (!is_zone(extent)) return dmap::fail(code, "add zone", to_string(extent.first), "64 to 32256 frames make a zone");
  CHECK(frames.size() == bytes_of(extent.count).value);
  auto at = std::upper_bound(firsts_.begin(), firsts_.end(), extent.first) - firsts_.begin();
  bool overlaps_before = at > 0 && zones_[at - 1]->extent.end() > extent.first;
  bool overlaps_after = at < std::ssize(firsts_) && firsts_[at] < extent.end();
  if (overlaps_before || overlaps_after)
    return dmap::fail(code, "add zone", to_string(extent.first), "it overlaps another");

  auto zone = std::make_unique<Zone>();
  zone->extent = extent;
  zone->bytes = frames.data();
  zone->words.reset(static_cast<NodeWord*>(std::calloc(extent.count.value, sizeof(NodeWord))));
  if (!zone->words) return dmap::fail(Code::kNoMemory, "add zone", to_string(extent.first));
  for (uint64_t i = 0; i < kZoneMapFrames; ++i) set(zone->live, i);
  firsts_.insert(firsts_.begin() + at, extent.first);
  counts_.usable += extent.count.value - kZoneMapFrames;
  return zones_.insert(zones_.begin() + at, std::move(zone))->get();
}

Result<void> NodeSpace::add_zone(Extent extent, std::span<const std::byte> frames) {
  Zone* zone = DMAP_TRY(insert_zone(extent, frames, Code::kInvalid));
  zone->available = extent.count.value - kZoneMapFrames;
  counts_.available += zone->available;
  return {};
}

Result<void> NodeSpace::open_zone(Extent extent, std::span<const std::byte> frames, uint64_t generation) {
  if (!is_zone(extent))
    return dmap::fail(Code::kCorrupt, "open zone", to_string(extent.first), "it has no length of a zone");
  std::optional<ZoneMap> best;
  unsigned best_slot = 0;
  bool newer = false;
  std::string detail;
  for (unsigned slot = 0; slot < kZoneMapFrames; ++slot) {
    auto frame = frames.subspan(slot * kFrameSize.value).first<kFrameSize.value>();
    auto map = decode_zone_map(frame, volume_, extent);
    if (!map) {
      detail.append(slot == 0 ? "" : "; ").append(map.error().detail());
    } else if (map->generation > generation) {
      newer = true;
      detail.append(slot == 0 ? "" : "; ").append("it is of a checkpoint that was never completed");
    } else if (!best || best->generation < map->generation) {
      best = std::move(*map);
      best_slot = slot;
    }
  }
  if (!best)
    return dmap::fail(Code::kCorrupt, "open zone", to_string(extent.first), "neither map can be used: " + detail);
  Zone& zone = *DMAP_TRY(insert_zone(extent, frames, Code::kCorrupt));
  zone.live = zone.frozen = zone.complete = best->used;
  zone.map_slot = best_slot;
  zone.map_generation = best->generation;
  zone.must_write = newer;
  counts_.live += count_ones(zone.live) - kZoneMapFrames;
  recount(zone);
  return {};
}

NodeSpace::Zone* NodeSpace::find(Pfn pfn) const {
  size_t after = 0;
  for (size_t count = firsts_.size(), half = 0; count > 0; count -= half) {  // how many zones begin at or before pfn
    half = (count + 1) / 2;
    after += static_cast<size_t>(firsts_[after + half - 1] <= pfn) * half;
  }
  if (after == 0) return nullptr;
  Zone* zone = zones_[after - 1].get();
  return zone->index(pfn) < zone->count() ? zone : nullptr;
}

NodePlace NodeSpace::place(Pfn pfn) const {
  Zone* zone = find(pfn);
  if (zone == nullptr) return {};
  uint64_t index = zone->index(pfn);
  return {.bytes = zone->bytes + index * kFrameSize.value, .word = &zone->words[index]};
}

bool NodeSpace::is_live(Pfn pfn) const {
  Zone* zone = find(pfn);
  return zone != nullptr && zone->index(pfn) >= kZoneMapFrames && test(zone->live, zone->index(pfn));
}

Result<Pfn> NodeSpace::allocate() {
  if (counts_.available == 0) {
    return dmap::fail(Code::kNoSpace, "allocate", "metadata", std::to_string(counts_.usable) + " frames, all in use");
  }
  while (zones_[next_zone_]->available == 0) next_zone_ = (next_zone_ + 1) % zones_.size();
  Zone& zone = *zones_[next_zone_];
  while (zone.free_in(zone.next_word) == 0) zone.next_word = (zone.next_word + 1) % kZoneWords;
  uint64_t index = zone.next_word * 64 + static_cast<uint64_t>(std::countr_zero(zone.free_in(zone.next_word)));
  set(zone.live, index);
  --zone.available;
  --counts_.available;
  ++counts_.live;
  return zone.extent.first + FrameCount{index};
}

void NodeSpace::free(Pfn pfn) {
  CHECK(is_live(pfn));
  Zone& zone = *find(pfn);
  uint64_t index = zone.index(pfn);
  clear(zone.live, index);
  --counts_.live;
  if (test(zone.frozen, index) || test(zone.complete, index)) return;
  ++zone.available;
  ++counts_.available;
}

void NodeSpace::recount(Zone& zone) {
  counts_.available -= zone.available;
  zone.available = 0;
  for (size_t word = 0; word < kZoneWords; ++word) {
    zone.available += static_cast<uint64_t>(std::popcount(zone.free_in(word)));
  }
  counts_.available += zone.available;
}

std::vector<NodeSpace::MapImage> NodeSpace::freeze(uint64_t generation) {
  CHECK(generation_ == 0 && generation > 0);
  generation_ = generation;
  std::vector<MapImage> images;
  for (auto& zone : zones_) {
    CHECK(generation > zone->map_generation);
    if (!zone->must_write && zone->live == zone->complete) continue;
    zone->frozen = zone->live;
    zone->written_generation = generation;
    MapImage& image = images.emplace_back();
    image.pfn = zone->extent.first + FrameCount{1 - zone->map_slot};
    ZoneMap map{.zone = zone->extent, .generation = generation, .used = zone->frozen};
    encode_zone_map(map, volume_, image.bytes);
  }
  return images;
}

void NodeSpace::complete() {
  CHECK(generation_ != 0);
  for (auto& zone : zones_) {
    if (zone->written_generation == 0) continue;
    zone->complete = zone->frozen;
    zone->map_slot = 1 - zone->map_slot;
    zone->map_generation = std::exchange(zone->written_generation, 0);
    zone->must_write = false;
    recount(*zone);
  }
  generation_ = 0;
}

void NodeSpace::fail() {
  CHECK(generation_ != 0);
  for (auto& zone : zones_) {
    if (zone->written_generation == 0) continue;
    zone->frozen = zone->complete;
    zone->written_generation = 0;
    zone->must_write =
        true;  // else a later checkpoint, finding nothing changed, would leave the failed one's map behind
    recount(*zone);
  }
  generation_ = 0;
}

uint64_t NodeSpace::maps_digest() const {
  uint64_t digest = 0;
  for (const auto& zone : zones_) {
    uint64_t generation = zone->written_generation != 0 ? zone->written_generation : zone->map_generation;
    digest += mix(mix(static_cast<uint64_t>(zone->extent.first)) + generation);
  }
  return digest;
}

Result<void> NodeSpace::check_invariants() const {
  Counts counted;
  for (const auto& zone : zones_) {
    uint64_t available = 0;
    for (size_t word = 0; word < kZoneWords; ++word) {
      available += static_cast<uint64_t>(std::popcount(zone->free_in(word)));
    }
    bool under_way = zone->written_generation != 0;
    const char* fault = nullptr;
    if (available != zone->available) fault = "its count of available frames is wrong";
    if (!under_way && zone->frozen != zone->complete) fault = "frames are frozen with no checkpoint under way";
    if (under_way && zone->written_generation != generation_) fault = "it waits for a checkpoint that ended";
    if (!test(zone->live, 0) || !test(zone->live, 1)) fault = "its map's frames are free";
    if (fault != nullptr) return dmap::fail(Code::kInvalid, "check zone", to_string(zone->extent.first), fault);
    counted.usable += zone->count() - kZoneMapFrames;
    counted.live += count_ones(zone->live) - kZoneMapFrames;
    counted.available += available;
  }
  if (counted.usable != counts_.usable || counted.live != counts_.live || counted.available != counts_.available) {
    return dmap::fail(Code::kInvalid, "check zones", "counts", "they do not add up");
  }
  return {};
}

}  // namespace dmap
