// SPDX-License-Identifier: Apache-2.0
//
// The cache of directory entries: (directory, name) -> (inode, type), read under RCU, filled under the directory's
// lock.
#ifndef DMAP_VOLUME_NAMES_H_
#define DMAP_VOLUME_NAMES_H_

#include <xxhash.h>

#include <string>
#include <string_view>

#include "base/rcu.h"
#include "base/rcu_cache.h"
#include "dmap/options.h"

namespace dmap {

/// A component of a path, found.
struct Found {
  InodeNumber inode{};
  FileType type = FileType::kRegular;
};

struct NameKey {
  InodeNumber directory{};
  std::string_view name;
};

/// An entry that is there. Never changes: a rename erases it and inserts another. Missing names are not cached.
struct NameEntry : RcuHead, RcuCacheLink<NameEntry> {
  NameEntry(NameKey key, Found where) : directory(key.directory), found(where), name(key.name) {}

  const InodeNumber directory;
  const Found found;
  const std::string name;

  bool try_evict() { return true; }
};

struct NameTraits {
  using Key = NameKey;
  static uint64_t hash(const NameKey& key) {
    return XXH3_64bits_withSeed(key.name.data(), key.name.size(), static_cast<uint64_t>(key.directory));
  }
  static NameKey key(const NameEntry& entry) { return {entry.directory, entry.name}; }
  static bool matches(const NameEntry& entry, const NameKey& key) {
    return entry.directory == key.directory && entry.name == key.name;
  }
};

using NameCache = RcuCache<NameEntry, NameTraits>;

}  // namespace dmap

#endif  // DMAP_VOLUME_NAMES_H_
