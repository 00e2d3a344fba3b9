// SPDX-License-Identifier: Apache-2.0
//
// What stands behind an open file: memory, a file system, persistent memory; and so which traits a device on it has.
#ifndef DMAP_DEVICE_MEDIUM_H_
#define DMAP_DEVICE_MEDIUM_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "device/traits.h"
#include "dmap/result.h"
#include "dmap/types.h"

namespace dmap {

struct Medium {
  enum class Kind : uint8_t {
    kMemoryFile,  // a file on tmpfs, ramfs or hugetlbfs
    kStoredFile,  // a file on any other file system
    kDeviceDax,   // a character device that is memory (/dev/daxX.Y)
  };
  Kind kind = Kind::kStoredFile;
  std::string file_system;   // "ext4", "tmpfs"; empty for device DAX
  Bytes size;                // now
  Bytes grain = kFrameSize;  // mappings must be multiples of it
  int numa_node = -1;
  bool persistent = true;  // of device DAX: persistent memory rather than memory set aside (CXL, hmem)
};

/// Looks at an open file; `path` is for the errors.
/// Errors: is_a_directory, not_supported (block devices, pipes, other devices), io.
Result<Medium> identify(int fd, std::string_view operation, std::string_view path);

/// The same of a character device by number, from sysfs under `sysfs`: not_supported if it is not device DAX.
Result<Medium> identify_device_dax(dev_t number, const std::string& sysfs, std::string_view operation,
                                   std::string_view path);

/// `synchronous`: the mapping took MAP_SYNC. `page_size`: what the mapping uses.
/// Error not_supported: device DAX on a CPU that dmap knows no line write-back for.
Result<Traits> traits_of(const Medium& medium, FrameCount frames, bool synchronous, Bytes page_size,
                         std::string_view path);

}  // namespace dmap

#endif  // DMAP_DEVICE_MEDIUM_H_
