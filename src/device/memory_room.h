// SPDX-License-Identifier: Apache-2.0
//
// How much memory may still be filled. Asking first matters: a process that fills more is killed, not told.
#ifndef DMAP_DEVICE_MEMORY_ROOM_H_
#define DMAP_DEVICE_MEMORY_ROOM_H_

#include <string>
#include <string_view>

#include "dmap/result.h"
#include "dmap/types.h"

namespace dmap {

struct MemoryRoom {
  Bytes available;         // what is free, or is clean file cache that the kernel gives back
  std::string limited_by;  // for people: "MemAvailable", or the control group whose limit is nearest
};

/// The machine's room (/proc/meminfo), or that of the tightest memory control group (version 1 or 2) around this
/// process, whichever is less. Swap does not count. Without /proc there is no limit known.
/// `root` stands before /proc and /sys, for tests.
MemoryRoom memory_room(const std::string& root = "");

/// Error no_memory unless `wanted` fits into `room` and a sixteenth of it stays free for everybody else.
Result<void> check_memory_room(Bytes wanted, const MemoryRoom& room, std::string_view operation,
                               std::string_view object);

}  // namespace dmap

#endif  // DMAP_DEVICE_MEMORY_ROOM_H_
