// SPDX-License-Identifier: Apache-2.0
#include "tree/zone_map.h"

#include <bit>
#include <cstring>

#include "base/bits.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "tree/node_check.h"

namespace dmap {
namespace {

static_assert(std::endian::native == std::endian::little, "maps are copied as they are");

constexpr uint32_t kMapMagic = 0x4d5a4d44;

struct MapFrame {
  uint32_t crc;
  uint32_t magic;
  uint64_t volume;
  Pfn first;
  uint64_t count;
  uint64_t generation;
  uint64_t zeros[3];
  ZoneBits used;
};
static_assert(sizeof(MapFrame) == kFrameSize.value && offsetof(MapFrame, used) == 64);

uint32_t crc_of(std::span<const std::byte, kFrameSize.value> frame) {
  return crc32c(frame.subspan<sizeof(uint32_t)>());
}

bool is_zero_from(const ZoneBits& bits, uint64_t first) {
  for (uint64_t word = first / 64; word < kZoneWords; ++word) {
    uint64_t mask = word == first / 64 ? mask_of(first % 64, 64) : ~uint64_t{0};
    if ((bits[word] & mask) != 0) return false;
  }
  return true;
}

const char* fault_of(const MapFrame& map, uint64_t volume, Extent zone) {
  if (map.magic != kMapMagic) return "it is no zone map";
  if (map.volume != volume) return "it is of another volume";
  if (map.first != zone.first || map.count != zone.count.value) return "it is of another zone";
  if (map.zeros[0] != 0 || map.zeros[1] != 0 || map.zeros[2] != 0) return "its reserved bytes are not zero";
  if ((map.used[0] & mask_of(0, kZoneMapFrames)) != mask_of(0, kZoneMapFrames)) return "it does not count itself";
  if (!is_zero_from(map.used, zone.count.value)) return "it counts frames beyond its zone";
  return nullptr;
}

}  // namespace

bool is_zone(Extent extent) {
  uint64_t count = extent.count.value;
  return count >= kZoneFramesMin && count <= kZoneFramesMax && index_of(extent.first) <= kPfnIndexMask + 1 - count;
}

void encode_zone_map(const ZoneMap& map, uint64_t volume, std::span<std::byte, kFrameSize.value> frame) {
  MapFrame out{.crc = 0,
               .magic = kMapMagic,
               .volume = volume,
               .first = map.zone.first,
               .count = map.zone.count.value,
               .generation = map.generation,
               .zeros = {},
               .used = map.used};
  CHECK(is_zone(map.zone) && fault_of(out, volume, map.zone) == nullptr);
  std::memcpy(frame.data(), &out, sizeof(out));
  out.crc = crc_of(frame);
  std::memcpy(frame.data(), &out.crc, sizeof(out.crc));
}

Result<ZoneMap> decode_zone_map(std::span<const std::byte, kFrameSize.value> frame, uint64_t volume, Extent zone) {
  MapFrame map;
  std::memcpy(&map, frame.data(), sizeof(map));
  const char* fault = map.crc == crc_of(frame) ? fault_of(map, volume, zone) : "its checksum is wrong";
  if (fault != nullptr) return fail(Code::kCorrupt, "read zone map", to_string(zone.first), fault);
  return ZoneMap{.zone = zone, .generation = map.generation, .used = map.used};
}

}  // namespace dmap
