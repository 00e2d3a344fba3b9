// SPDX-License-Identifier: Apache-2.0
#include "volume/records.h"

#include <xxhash.h>

#include <cstring>

#include "base/check.h"

namespace dmap {
namespace {

struct InodeMedia {
  uint8_t type;
  uint8_t flags;
  uint16_t permissions;
  uint32_t uid;
  uint32_t gid;
  uint32_t links;
  uint64_t size;
  uint64_t frames;
  uint64_t extents;
  int64_t accessed;
  int64_t modified;
  int64_t changed;
  int64_t born;
  uint64_t device;
  uint64_t parent;
  uint64_t dead_from;
};
static_assert(sizeof(InodeMedia) == kInodeSize && std::has_unique_object_representations_v<InodeMedia>);

constexpr uint8_t kFlagXattrs = 1;
constexpr uint8_t kFlagInline = 2;

struct ExtentMedia {
  uint64_t pfn;
  uint64_t frames;  // the top bit: allocated, never written
};
static_assert(sizeof(ExtentMedia) == kExtentSize);
constexpr uint64_t kUnwrittenBit = uint64_t{1} << 63;

struct DentryMedia {
  uint64_t inode;
  uint8_t type;
  uint8_t slot;
  uint8_t name_size;
};
constexpr size_t kDentryHead = 11;  // DentryMedia without what the compiler adds at its end

}  // namespace

Key key_of(InodeNumber object, Kind kind, uint64_t offset) {
  return make_key(static_cast<uint64_t>(object), static_cast<uint8_t>(kind), offset);
}

InodeBytes encode(const InodeRecord& inode) {
  InodeMedia media{
      .type = static_cast<uint8_t>(inode.type),
      .flags = static_cast<uint8_t>((inode.has_xattrs ? kFlagXattrs : 0) | (inode.is_inline ? kFlagInline : 0)),
      .permissions = static_cast<uint16_t>(inode.permissions),
      .uid = inode.uid,
      .gid = inode.gid,
      .links = inode.links,
      .size = inode.size,
      .frames = inode.frames,
      .extents = inode.extents,
      .accessed = inode.accessed.nanoseconds,
      .modified = inode.modified.nanoseconds,
      .changed = inode.changed.nanoseconds,
      .born = inode.born.nanoseconds,
      .device = inode.device,
      .parent = static_cast<uint64_t>(inode.parent),
      .dead_from = inode.dead_from};
  InodeBytes bytes{};
  std::memcpy(bytes.data(), &media, sizeof media);
  return bytes;
}

Result<InodeRecord> decode_inode(std::span<const std::byte> value, InodeNumber number) {
  InodeMedia media{};
  if (value.size() == kInodeSize) std::memcpy(&media, value.data(), sizeof media);
  bool sane = value.size() == kInodeSize && media.type <= static_cast<uint8_t>(FileType::kSocket) &&
              media.size <= uint64_t(INT64_MAX) && media.dead_from <= kNothingDead && media.permissions <= 07777;
  if (!sane) return fail(Code::kCorrupt, "read", "inode " + std::to_string(static_cast<uint64_t>(number)));
  return InodeRecord{.type = static_cast<FileType>(media.type),
                     .permissions = media.permissions,
                     .uid = media.uid,
                     .gid = media.gid,
                     .links = media.links,
                     .has_xattrs = (media.flags & kFlagXattrs) != 0,
                     .is_inline = (media.flags & kFlagInline) != 0,
                     .size = media.size,
                     .frames = media.frames,
                     .extents = media.extents,
                     .accessed = {media.accessed},
                     .modified = {media.modified},
                     .changed = {media.changed},
                     .born = {media.born},
                     .device = media.device,
                     .parent = InodeNumber{media.parent},
                     .dead_from = media.dead_from};
}

ExtentBytes encode(const Mapping& mapping) {
  ExtentMedia media{.pfn = static_cast<uint64_t>(mapping.pfn),
                    .frames = mapping.frames | (mapping.written ? 0 : kUnwrittenBit)};
  ExtentBytes bytes;
  std::memcpy(bytes.data(), &media, sizeof media);
  return bytes;
}

Result<Mapping> decode_extent(std::span<const std::byte> value, uint64_t file_frame, Extent data) {
  const uint64_t frames_end = index_of(data.end());
  ExtentMedia media{};
  if (value.size() == sizeof media) std::memcpy(&media, value.data(), sizeof media);
  Mapping mapping{.file_frame = file_frame,
                  .pfn = Pfn{media.pfn},
                  .frames = media.frames & ~kUnwrittenBit,
                  .birth = 0,
                  .written = (media.frames & kUnwrittenBit) == 0};
  bool sane = mapping.frames > 0 && mapping.frames <= frames_end && media.pfn <= frames_end - mapping.frames &&
              mapping.pfn >= data.first && file_frame < kFileFrames && mapping.frames <= kFileFrames - file_frame;
  if (!sane) {
    return fail(Code::kCorrupt, "read", "extent at frame " + std::to_string(file_frame),
                "it points at " + std::to_string(mapping.frames) + " frames from pfn " + std::to_string(media.pfn));
  }
  return mapping;
}

std::vector<std::byte> encode(std::span<const Dentry> chain) {
  std::vector<std::byte> bytes;
  for (const Dentry& dentry : chain) {
    DentryMedia media{.inode = static_cast<uint64_t>(dentry.inode),
                      .type = static_cast<uint8_t>(dentry.type),
                      .slot = dentry.slot,
                      .name_size = static_cast<uint8_t>(dentry.name.size())};
    size_t at = bytes.size();
    bytes.resize(at + kDentryHead + dentry.name.size());
    std::memcpy(bytes.data() + at, &media, kDentryHead);
    std::memcpy(bytes.data() + at + kDentryHead, dentry.name.data(), dentry.name.size());
  }
  return bytes;
}

Result<std::vector<Dentry>> decode_dentries(std::span<const std::byte> value) {
  std::vector<Dentry> chain;
  auto bad = [] { return fail(Code::kCorrupt, "read", "directory entry"); };
  while (!value.empty()) {
    DentryMedia media{};
    if (value.size() < kDentryHead) return bad();
    std::memcpy(&media, value.data(), kDentryHead);
    bool ascending = chain.empty() || media.slot > chain.back().slot;
    bool sane = media.name_size > 0 && media.name_size <= value.size() - kDentryHead && ascending &&
                media.type <= static_cast<uint8_t>(FileType::kSocket) && media.slot < kDentrySlots &&
                media.inode != 0 && media.inode < kInodesEnd;
    if (!sane) return bad();
    std::string_view name(reinterpret_cast<const char*>(value.data()) + kDentryHead, media.name_size);
    if (!is_name(name)) return bad();
    chain.push_back({.inode = InodeNumber{media.inode},
                     .type = static_cast<FileType>(media.type),
                     .slot = media.slot,
                     .name = name});
    value = value.subspan(kDentryHead + media.name_size);
  }
  return chain;
}

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= 255 && name != "." && name != ".." &&
         name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

uint64_t hash_of(std::string_view name, uint64_t seed) {
  return XXH3_64bits_withSeed(name.data(), name.size(), seed) >> 8;
}

DirectoryCookie cookie_behind(uint64_t hash, uint8_t slot) { return DirectoryCookie{(hash << 7) | (slot + 1U)}; }

DirectoryPlace place_of(DirectoryCookie cookie) {
  auto word = static_cast<uint64_t>(cookie);
  return {.hash = word >> 7, .slot = static_cast<uint8_t>(word & 127)};
}

}  // namespace dmap
