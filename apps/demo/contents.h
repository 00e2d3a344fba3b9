// SPDX-License-Identifier: Apache-2.0
//
// What is in the volume: its regular files, their hashes, and the same of the originals on the host.
#ifndef DMAP_DEMO_CONTENTS_H_
#define DMAP_DEMO_CONTENTS_H_

#include <string>
#include <vector>

#include "dmap/volume.h"

namespace dmap::demo {

/// XXH3-128.
struct Hash {
  uint64_t low = 0;
  uint64_t high = 0;
  friend bool operator==(Hash, Hash) = default;
};

struct FileRow {
  std::string path;  ///< in the volume
  InodeNumber inode{};
  Bytes size;
  Hash hash;
};

/// Every regular file, by its path; a file with two names is there twice.
[[nodiscard]] Result<std::vector<FileRow>> list_files(const Volume& volume);

/// The hash of a file of the volume, computed on its frames in place.
[[nodiscard]] Result<Hash> hash_in_place(Volume& volume, InodeNumber inode);

/// The hash of a file on the host.
[[nodiscard]] Result<Hash> hash_on_host(const std::string& path);

/// The hash of what a pin holds, through the addresses of its pieces. Errors: not_supported (no addresses).
[[nodiscard]] Result<Hash> hash_of_pin(const Pin& pin);

}  // namespace dmap::demo

#endif  // DMAP_DEMO_CONTENTS_H_
