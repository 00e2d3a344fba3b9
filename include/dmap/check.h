// SPDX-License-Identifier: Apache-2.0
//
// Proves offline what can be proved about a volume, and changes nothing.
#ifndef DMAP_CHECK_H_
#define DMAP_CHECK_H_

#include <functional>
#include <string>

#include "dmap/options.h"
#include "dmap/result.h"
#include "dmap/types.h"

namespace dmap {

/// One thing that is wrong: where (a frame, and a path if one leads there) and what.
struct Finding {
  Pfn pfn{};
  std::string path;
  std::string what;
};

struct CheckReport {
  uint64_t findings = 0;
  uint64_t inodes = 0;
  uint64_t directories = 0;
  uint64_t extents = 0;
  uint64_t tree_nodes = 0;
  uint64_t records_replayed = 0;
  Usage usage;
};

struct CheckOptions {
  std::function<void(const Finding&)> on_finding{};
  Progress progress{};  ///< in tree entries, of about as many
};

/// Opens the volume at `path` read-only (replaying its journal in RAM only) and proves: every node verifies; every
/// frame is exactly one of free, owned, metadata, journal (X1); no frame has two owners; sizes, link counts and counts
/// of extents agree; every object has a name or is an orphan about to vanish; every name has an object. Reports
/// everything it finds. Errors are for what keeps it from looking: busy (open for writing), foreign, io; a superblock
/// that cannot be used is corrupt.
[[nodiscard]] Result<CheckReport> check_volume(const std::string& path, const CheckOptions& options = {});

}  // namespace dmap

#endif  // DMAP_CHECK_H_
