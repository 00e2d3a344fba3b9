// SPDX-License-Identifier: Apache-2.0
#include "volume/format.h"

#include <bit>
#include <cstring>

#include "base/check.h"
#include "base/crc32c.h"

namespace dmap {
namespace {

static_assert(std::endian::native == std::endian::little, "dmap's media are little-endian");

constexpr char kSuperblockMagic[8] = {'D', 'M', 'A', 'P', 'V', 'O', 'L', '\0'};
constexpr char kRootMagic[8] = {'D', 'M', 'A', 'P', 'R', 'O', 'O', 'T'};

struct SuperblockMedia {
  char magic[8];
  uint32_t checksum;  // of the whole frame with this field zero
  uint32_t version;
  uint64_t features_compatible;
  uint64_t features_read_only;
  uint64_t features_incompatible;
  uint8_t uuid[16];
  uint64_t frames;
  uint64_t journal_first;
  uint64_t journal_frames;
  uint64_t hash_seed;
  int64_t created_ns;
};
static_assert(sizeof(SuperblockMedia) == 96 && std::has_unique_object_representations_v<SuperblockMedia>);

struct ZoneMedia {
  uint64_t first;
  uint64_t frames;
};

struct RootSlotMedia {
  char magic[8];
  uint32_t checksum;  // of the whole frame with this field zero
  uint32_t zones;
  uint64_t tag;
  uint64_t generation;
  uint64_t tree_pfn;
  uint64_t tree_generation;
  uint64_t tree_entries;
  uint64_t maps_digest;
  uint32_t tree_height;
  uint32_t journal_chain;
  uint64_t journal_offset;
  uint64_t journal_sequence;
  uint64_t journal_epoch;
  uint64_t inode_next;
  uint64_t inodes;
  uint64_t owned_frames;
  SessionMark journal_session;
  ZoneMedia zone[kZonesMax];
};
static_assert(sizeof(RootSlotMedia) == 136 + 16 * kZonesMax && sizeof(RootSlotMedia) <= kFrameSize.value);
static_assert(std::has_unique_object_representations_v<RootSlotMedia>);

template <typename Media>
uint32_t frame_checksum(std::span<const std::byte> frame) {
  constexpr uint32_t kZero = 0;
  constexpr size_t kAt = offsetof(Media, checksum);
  uint32_t sum = crc32c(frame.first(kAt));
  sum = crc32c(std::as_bytes(std::span(&kZero, 1)), sum);
  return crc32c(frame.subspan(kAt + sizeof kZero), sum);
}

template <typename Media>
FrameBytes sealed(Media media) {
  FrameBytes frame{};
  std::memcpy(frame.data(), &media, sizeof media);
  media.checksum = frame_checksum<Media>(frame);
  std::memcpy(frame.data(), &media, sizeof media);
  return frame;
}

}  // namespace

uint64_t Superblock::tag() const {
  uint64_t words[2];
  std::memcpy(words, uuid.data(), sizeof words);
  return words[0] ^ std::rotl(words[1], 32);
}

FrameBytes encode(const Superblock& superblock) {
  SuperblockMedia media{};
  std::memcpy(media.magic, kSuperblockMagic, sizeof media.magic);
  media.version = kFormatVersion;
  media.features_compatible = superblock.features_compatible;
  media.features_read_only = superblock.features_read_only;
  media.features_incompatible = superblock.features_incompatible;
  std::memcpy(media.uuid, superblock.uuid.data(), sizeof media.uuid);
  media.frames = superblock.frames.value;
  media.journal_first = kJournalFrame;
  media.journal_frames = superblock.journal_frames.value;
  media.hash_seed = superblock.hash_seed;
  media.created_ns = superblock.created_ns;
  return sealed(media);
}

Result<Superblock> decode_superblock(std::span<const std::byte> frame, FrameCount device_frames,
                                     const std::string& name) {
  SuperblockMedia media;
  std::memcpy(&media, frame.data(), sizeof media);
  if (std::memcmp(media.magic, kSuperblockMagic, sizeof media.magic) != 0) {
    return fail(Code::kForeign, "open", name, "this is not a dmap volume: its first frame has another magic number");
  }
  if (media.checksum != frame_checksum<SuperblockMedia>(frame)) {
    return fail(Code::kCorrupt, "open", name, "the superblock's checksum does not match");
  }
  if (media.version != kFormatVersion) {
    return fail(Code::kForeign, "open", name,
                "the volume has format version " + std::to_string(media.version) + ", this program knows " +
                    std::to_string(kFormatVersion));
  }
  if (media.features_incompatible != 0) {
    return fail(Code::kForeign, "open", name, "the volume uses features that this program does not know");
  }
  if (media.frames > device_frames.value) {
    return fail(Code::kCorrupt, "open", name,
                "the volume has " + std::to_string(media.frames) + " frames, the device only " +
                    std::to_string(device_frames.value) + ": was it cut short?");
  }
  bool sane = media.frames >= kVolumeFramesMin.value && media.journal_first == kJournalFrame &&
              media.journal_frames >= 16 && media.journal_frames < media.frames - kJournalFrame;
  if (!sane) return fail(Code::kCorrupt, "open", name, "the superblock's geometry cannot be true");
  Superblock superblock{.frames = FrameCount{media.frames},
                        .journal_frames = FrameCount{media.journal_frames},
                        .hash_seed = media.hash_seed,
                        .created_ns = media.created_ns,
                        .features_compatible = media.features_compatible,
                        .features_read_only = media.features_read_only,
                        .features_incompatible = media.features_incompatible};
  std::memcpy(superblock.uuid.data(), media.uuid, sizeof media.uuid);
  return superblock;
}

FrameBytes encode(const RootSlot& slot, uint64_t tag) {
  CHECK(slot.zones.size() <= kZonesMax);
  RootSlotMedia media{};
  std::memcpy(media.magic, kRootMagic, sizeof media.magic);
  media.zones = static_cast<uint32_t>(slot.zones.size());
  media.tag = tag;
  media.generation = slot.generation;
  media.tree_pfn = static_cast<uint64_t>(slot.tree.pfn);
  media.tree_generation = slot.tree.node_generation;
  media.tree_entries = slot.tree.entries;
  media.maps_digest = slot.maps_digest;
  media.tree_height = slot.tree.height;
  media.journal_chain = slot.journal.chain;
  media.journal_offset = slot.journal.offset;
  media.journal_sequence = slot.journal.sequence;
  media.journal_epoch = slot.journal.epoch;
  media.inode_next = slot.inode_next;
  media.inodes = slot.inodes;
  media.owned_frames = slot.owned_frames;
  media.journal_session = slot.journal.session;
  for (size_t i = 0; i < slot.zones.size(); ++i) {
    media.zone[i] = {.first = index_of(slot.zones[i].first), .frames = slot.zones[i].count.value};
  }
  return sealed(media);
}

Result<RootSlot> decode_root_slot(std::span<const std::byte> frame, const Superblock& superblock) {
  RootSlotMedia media;
  std::memcpy(&media, frame.data(), sizeof media);
  auto bad = [](const char* what) { return fail(Code::kCorrupt, "open", "root slot", what); };
  if (std::memcmp(media.magic, kRootMagic, sizeof media.magic) != 0) return bad("wrong magic number");
  if (media.checksum != frame_checksum<RootSlotMedia>(frame)) return bad("the checksum does not match");
  if (media.tag != superblock.tag()) return bad("it belongs to another volume");
  uint64_t ring = bytes_of(superblock.journal_frames).value;
  if (media.journal_offset >= ring || media.journal_offset % kRecordAlign != 0)
    return bad("the journal's place is outside of it");
  if (media.zones == 0 || media.zones > kZonesMax) return bad("the number of metadata zones cannot be true");
  if (media.inode_next < 2 || media.inode_next > uint64_t{1} << 56 || media.owned_frames > superblock.frames.value)
    return bad("its counts cannot be true");

  RootSlot slot{.generation = media.generation,
                .tree = {.pfn = Pfn{media.tree_pfn},
                         .node_generation = media.tree_generation,
                         .generation = media.generation,
                         .entries = media.tree_entries,
                         .height = media.tree_height},
                .maps_digest = media.maps_digest,
                .journal = {.offset = media.journal_offset,
                            .sequence = media.journal_sequence,
                            .chain = media.journal_chain,
                            .epoch = media.journal_epoch,
                            .session = media.journal_session},
                .inode_next = media.inode_next,
                .inodes = media.inodes,
                .owned_frames = media.owned_frames,
                .zones = {}};
  uint64_t data_first = kJournalFrame + superblock.journal_frames.value;
  for (uint32_t i = 0; i < media.zones; ++i) {
    auto [first, frames] = media.zone[i];
    bool inside = first >= data_first && frames > 0 && frames <= superblock.frames.value &&
                  first <= superblock.frames.value - frames;
    if (!inside) return bad("a metadata zone lies outside of the volume");
    slot.zones.push_back({make_pfn(kHomeDevice, first), FrameCount{frames}});
  }
  return slot;
}

std::string to_string(const Uuid& uuid) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (uint8_t byte : uuid) text.append({kDigits[byte >> 4], kDigits[byte & 15]});
  return text;
}

}  // namespace dmap
