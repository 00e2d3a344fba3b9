// SPDX-License-Identifier: Apache-2.0
//
// Taking a file's blocks for good when it is made, so that a store never finds the disk full (which is a SIGBUS).
#ifndef DMAP_DEVICE_FILE_SPACE_H_
#define DMAP_DEVICE_FILE_SPACE_H_

#include <cstdint>
#include <functional>
#include <string_view>

#include "dmap/result.h"
#include "dmap/types.h"

namespace dmap {

/// Error file_too_big if `size` is over RLIMIT_FSIZE, which would otherwise be a signal (SIGXFSZ) and not an error.
Result<void> check_file_size_limit(Bytes size, std::string_view operation, std::string_view object);

/// What the file system under `fd` can still give to this process; none if it does not say (ramfs).
/// Quotas and the file system's own needs may make it less.
Bytes free_space(int fd);

/// Allocates [0, size) of `fd`, by fallocate() or, where the file system has none, by writing zeros: `fd` holds nothing
/// yet. Blocks; calls `progress` (in bytes) every kSpaceStep and at the end.
/// Errors: no_space with what was asked and what is free, io ("Operation canceled") if progress says no. The file is
/// then left with what it has got.
Result<void> take_space(int fd, Bytes size, const Progress& progress, std::string_view operation,
                        std::string_view object);

inline constexpr Bytes kSpaceStep{uint64_t{64} << 20};

}  // namespace dmap

#endif  // DMAP_DEVICE_FILE_SPACE_H_
