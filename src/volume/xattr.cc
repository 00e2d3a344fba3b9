// SPDX-License-Identifier: Apache-2.0
//
// Extended attributes. One lies in up to 65 parts under consecutive keys: offset (hash of the name with its low 8 bits
// clear) + part. Names whose hashes are the same there take the next places, up to kProbes of them.
#include <algorithm>
#include <cstring>

#include "volume/core.h"

namespace dmap {
namespace {

constexpr uint64_t kProbes = 4;

std::string_view name_in(std::span<const std::byte> head_part) {
  XattrHead head;
  std::memcpy(&head, head_part.data(), sizeof head);
  return {reinterpret_cast<const char*>(head_part.data()) + sizeof head, head.name_size};
}

Result<XattrHead> decode_head(std::span<const std::byte> part) {
  XattrHead head{};
  if (part.size() >= sizeof head) std::memcpy(&head, part.data(), sizeof head);
  bool sane = head.name_size > 0 && head.name_size <= Volume::kNameMax && part.size() >= sizeof head + head.name_size &&
              head.value_size <= kXattrValueMax;
  if (!sane) return fail(Code::kCorrupt, "read", "extended attribute");
  return head;
}

Result<void> check_xattr_name(std::string_view name) {
  if (name.empty() || name.size() > Volume::kNameMax || name.find('\0') != std::string_view::npos) {
    return fail(name.size() > Volume::kNameMax ? Code::kBufferTooSmall : Code::kInvalid, "xattr", name.substr(0, 64),
                "names have 1 to 255 bytes");
  }
  return {};
}

}  // namespace

/// Where an attribute's parts begin, and what is there.
struct VolumeCore::XattrPlace {
  uint64_t offset = 0;          ///< of its first part; of a free place if there is no such attribute
  std::optional<size_t> parts;  ///< empty: there is no such attribute
  std::vector<std::byte> value;
};

Result<VolumeCore::XattrPlace> VolumeCore::find_xattr(const Inode& inode, std::string_view name) {
  uint64_t base = hash_of(name, store_->superblock().hash_seed) & ~uint64_t{kXattrParts - 1};
  return store_->read([&](const Tree& tree) -> Result<XattrPlace> {
    std::optional<uint64_t> free;
    for (uint64_t probe = 0; probe < kProbes; ++probe) {
      uint64_t offset = (base + probe * kXattrParts) & ((uint64_t{1} << kKindShift) - 1);
      auto first = DMAP_TRY(tree.find(key_of(inode.number, Kind::kXattr, offset)));
      if (!first) {
        if (!free) free = offset;
        continue;
      }
      XattrHead head = DMAP_TRY(decode_head(*first));
      if (name_in(*first) != name) continue;
      const size_t size = sizeof head + head.name_size + head.value_size;
      auto whole = [&](size_t part, const std::optional<Value>& bytes) {
        return bytes && bytes->size() == std::min(kPartSize, size - part * kPartSize);
      };
      if (!whole(0, first))
        return fail(Code::kCorrupt, "read", "extended attribute", "its first part has a wrong size");
      XattrPlace place{.offset = offset, .parts = 1, .value = {}};
      auto bytes = first->subspan(sizeof head + head.name_size);
      place.value.assign(bytes.begin(), bytes.end());
      while (place.value.size() < head.value_size) {
        auto part = DMAP_TRY(tree.find(key_of(inode.number, Kind::kXattr, offset + *place.parts)));
        if (!whole(*place.parts, part)) return fail(Code::kCorrupt, "read", "extended attribute", "a part is missing");
        place.value.insert(place.value.end(), part->begin(), part->end());
        ++*place.parts;
      }
      return place;
    }
    if (!free) return fail(Code::kNoSpace, "xattr", name, "too many attributes of this object share its hash");
    return XattrPlace{.offset = *free, .parts = std::nullopt, .value = {}};
  });
}

Result<std::vector<std::byte>> VolumeCore::get_xattr(Inode& inode, std::string_view name) {
  DMAP_TRY(check_xattr_name(name));
  MutexLock lock(inode.mutex);
  XattrPlace place = DMAP_TRY(find_xattr(inode, name));
  if (!place.parts) return fail(Code::kNoData, "xattr", name);
  return std::move(place.value);
}

Result<void> VolumeCore::set_xattr(Inode& inode, std::string_view name, std::span<const std::byte> value,
                                   XattrMode mode) {
  DMAP_TRY(check_xattr_name(name));
  if (value.size() > kXattrValueMax) return fail(Code::kTooBig, "xattr", name, "values have up to 64 KiB");
  MutexLock lock(inode.mutex);
  XattrPlace place = DMAP_TRY(find_xattr(inode, name));
  if (place.parts && mode == XattrMode::kCreate) return fail(Code::kExists, "xattr", name);
  if (!place.parts && mode == XattrMode::kReplace) return fail(Code::kNoData, "xattr", name);

  XattrHead head{.value_size = static_cast<uint32_t>(value.size()), .name_size = static_cast<uint32_t>(name.size())};
  std::vector<std::byte> bytes(sizeof head + name.size() + value.size());
  std::memcpy(bytes.data(), &head, sizeof head);
  std::memcpy(bytes.data() + sizeof head, name.data(), name.size());
  std::ranges::copy(value, bytes.begin() + static_cast<ptrdiff_t>(sizeof head + name.size()));

  Transaction txn;
  size_t parts = 0;
  for (size_t at = 0; at < bytes.size(); at += kPartSize, ++parts) {
    txn.put(key_of(inode.number, Kind::kXattr, place.offset + parts),
            std::span(bytes).subspan(at, std::min(kPartSize, bytes.size() - at)));
  }
  for (size_t part = parts; part < place.parts.value_or(0); ++part) {
    txn.erase(key_of(inode.number, Kind::kXattr, place.offset + part));
  }
  InodeRecord changed = current(inode);
  changed.changed = now();
  changed.has_xattrs = true;
  return commit_inode(inode, changed, txn);
}

Result<void> VolumeCore::remove_xattr(Inode& inode, std::string_view name) {
  DMAP_TRY(check_xattr_name(name));
  MutexLock lock(inode.mutex);
  XattrPlace place = DMAP_TRY(find_xattr(inode, name));
  if (!place.parts) return fail(Code::kNoData, "xattr", name);
  Transaction txn;
  for (size_t part = 0; part < *place.parts; ++part) txn.erase(key_of(inode.number, Kind::kXattr, place.offset + part));
  InodeRecord changed = current(inode);
  changed.changed = now();
  return commit_inode(inode, changed, txn, Purpose::kDelete);
}

Result<std::vector<std::string>> VolumeCore::list_xattrs(Inode& inode) {
  std::vector<std::string> names;
  MutexLock lock(inode.mutex);
  if (!inode.record.has_xattrs) return names;
  DMAP_TRY(store_->read([&](const Tree& tree) -> Result<void> {
    Cursor cursor(tree);
    DMAP_TRY(cursor.seek_ge(first_key(inode.number, Kind::kXattr)));
    while (cursor.is_on_entry() && cursor.key() <= last_key(inode.number, Kind::kXattr)) {
      if (offset_of(cursor.key()) % kXattrParts == 0) {
        DMAP_TRY(decode_head(cursor.value()));
        names.emplace_back(name_in(cursor.value()));
      }
      DMAP_TRY(cursor.next());
    }
    return {};
  }));
  return names;
}

}  // namespace dmap
