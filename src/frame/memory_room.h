// SPDX-License-Identifier: Apache-2.0
//
// How much memory may still be populated before the kernel would rather kill us.
#ifndef DMAP_FRAME_MEMORY_ROOM_H_
#define DMAP_FRAME_MEMORY_ROOM_H_

#include <filesystem>

#include "dmap/result.h"
#include "dmap/types.h"

namespace dmap {

/// Asks the system and every control group above us. (RLIMIT_AS and RLIMIT_DATA need no question: the kernel answers
/// those with an error when we map.) What it says may be outdated at once: it turns a certain kill into an error value,
/// it is no reservation.
class MemoryRoom {
 public:
  /// `root` stands for "/": tests plant a tree of their own.
  explicit MemoryRoom(std::filesystem::path root = "/") : root_(std::move(root)) {}

  /// The least of: MemAvailable of /proc/meminfo; for each control group from ours up to the root, version 2 or 1, its
  /// limit less what is used, file cache that can be dropped not counted as used. Opens files; tens of microseconds.
  [[nodiscard]] Bytes available() const;

  /// Errors: kNoMemory, with what is left in the text.
  [[nodiscard]] Result<void> ask(Bytes wanted) const;

 private:
  std::filesystem::path root_;
};

}  // namespace dmap

#endif  // DMAP_FRAME_MEMORY_ROOM_H_
