// SPDX-License-Identifier: Apache-2.0
//
// What a directory holds: its listing, and the change of one entry.
#include <algorithm>

#include "base/check.h"
#include "volume/core.h"

namespace dmap {
namespace {

/// The value with one name put into it, changed or taken out.
Result<std::vector<std::byte>> changed_chain(std::span<const std::byte> value, std::string_view name,
                                             std::optional<Found> found) {
  std::vector<Dentry> chain = DMAP_TRY(decode_dentries(value));
  auto same = std::ranges::find(chain, name, &Dentry::name);
  if (!found) {
    CHECK(same != chain.end());
    chain.erase(same);
  } else if (same != chain.end()) {
    same->inode = found->inode;
    same->type = found->type;
  } else {
    // The lowest slot that is not taken, so that slots ascend and stay what they are.
    auto place = chain.begin();
    uint8_t slot = 0;
    while (place != chain.end() && place->slot == slot) ++place, ++slot;
    chain.insert(place, {.inode = found->inode, .type = found->type, .slot = slot, .name = name});
  }
  std::vector<std::byte> bytes = encode(chain);
  if (chain.size() > kDentrySlots || bytes.size() > kValueMax) {
    return fail(Code::kNoSpace, "name", name, "too many names in this directory share its hash");
  }
  return bytes;
}

}  // namespace

Result<std::vector<DirectoryEntry>> VolumeCore::read_directory(InodeNumber directory, DirectoryCookie after,
                                                               size_t entries_max) {
  InodeRef self = DMAP_TRY(inode(directory));
  if (!self->is_directory())
    return fail(Code::kNotDirectory, "list", "inode " + std::to_string(static_cast<uint64_t>(directory)));
  DirectoryPlace start = place_of(after);
  if (start.hash >> 56 != 0) return fail(Code::kInvalid, "list", "cookie", "it never came from a listing");
  note_access(*self);
  std::vector<DirectoryEntry> entries;
  DMAP_TRY(store_->read([&](const Tree& tree) -> Result<void> {
    Key end = last_key(directory, Kind::kDentry);
    Cursor cursor(tree);
    DMAP_TRY(cursor.seek_ge(key_of(directory, Kind::kDentry, start.hash)));
    while (cursor.is_on_entry() && cursor.key() <= end) {
      uint64_t hash = offset_of(cursor.key());
      for (const Dentry& dentry : DMAP_TRY(decode_dentries(cursor.value()))) {
        if (hash == start.hash && dentry.slot < start.slot) continue;
        if (entries.size() == entries_max) return {};
        entries.push_back({.name = std::string(dentry.name),
                           .inode = dentry.inode,
                           .type = dentry.type,
                           .cookie = cookie_behind(hash, dentry.slot)});
      }
      DMAP_TRY(cursor.next());
    }
    return {};
  }));
  return entries;
}

Result<bool> VolumeCore::is_empty(Inode& directory) {
  return store_->read([&](const Tree& tree) -> Result<bool> {
    Cursor cursor(tree);
    DMAP_TRY(cursor.seek_ge(first_key(directory.number, Kind::kDentry)));
    return !cursor.is_on_entry() || cursor.key() > last_key(directory.number, Kind::kDentry);
  });
}

Result<void> VolumeCore::record_names(std::initializer_list<NameChange> changes, Transaction& txn) {
  // Names whose hashes agree share one value: its changes are gathered before it is put.
  std::vector<std::pair<Key, std::vector<std::byte>>> values;
  for (const NameChange& change : changes) {
    Key key = dentry_key(change.directory->number, change.name);
    auto value = std::ranges::find(values, key, &std::pair<Key, std::vector<std::byte>>::first);
    if (value == values.end()) {
      auto bytes = DMAP_TRY(store_->read([&](const Tree& tree) -> Result<std::vector<std::byte>> {
        auto there = DMAP_TRY(tree.find(key));
        return there ? std::vector<std::byte>(there->begin(), there->end()) : std::vector<std::byte>();
      }));
      value = values.insert(values.end(), {key, std::move(bytes)});
    }
    value->second = DMAP_TRY(changed_chain(value->second, change.name, change.found));
  }
  for (const auto& [key, bytes] : values) bytes.empty() ? txn.erase(key) : txn.put(key, bytes);
  return {};
}

}  // namespace dmap
