// SPDX-License-Identifier: Apache-2.0
//
// How much memory may still be filled before the kernel would rather kill us than say so.
#ifndef DMAP_BASE_MEMORY_ROOM_H_
#define DMAP_BASE_MEMORY_ROOM_H_

#include <filesystem>
#include <string>
#include <string_view>

#include "dmap/result.h"
#include "dmap/types.h"

namespace dmap {

/// Asks the machine and every memory control group around this process. (RLIMIT_AS and RLIMIT_DATA need no question:
/// the kernel answers those with an error when we map.) What it says may be outdated at once: it turns a certain kill
/// into an error value, it is no reservation. Any thread.
class MemoryRoom {
 public:
  struct Left {
    Bytes available;         ///< what is free, or is clean file cache that the kernel gives back
    std::string limited_by;  ///< for people: "MemAvailable", or the control group whose limit is nearest
  };

  /// `root` stands for "/": tests plant a /proc and a /sys of their own.
  explicit MemoryRoom(std::filesystem::path root = "/") : root_(std::move(root)) {}

  /// The least of: MemAvailable of /proc/meminfo; for each control group from ours up to the root, version 2 or 1, its
  /// limit less what is used. File cache does not count as used, swap does not count as room. Without /proc there is no
  /// limit known. Opens files; tens of microseconds.
  [[nodiscard]] Left left() const;

  /// Whether `wanted` may be filled and a sixteenth of what is left stays free for everybody else; `operation` and
  /// `object` are for the error. Errors: no_memory, with what is left in the text.
  [[nodiscard]] Result<void> ask(Bytes wanted, std::string_view operation, std::string_view object) const;

 private:
  std::filesystem::path root_;
};

}  // namespace dmap

#endif  // DMAP_BASE_MEMORY_ROOM_H_
