// SPDX-License-Identifier: Apache-2.0
//
// A view or a pin that the driver keeps while the file below it goes on changing, and what its bytes must be.
#ifndef DMAP_TESTING_MODEL_HOLD_H_
#define DMAP_TESTING_MODEL_HOLD_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "dmap/file.h"

namespace dmap::testing {

/// Each byte is in one of these states:
///   kFile:  it is the file's byte; it has not changed since the hold was taken.
///   kOpen:  the file changed it in a way that may or may not show here; nothing is said of it any more.
///   kOwn:   its frame has left the file (truncated, punched, unlinked): it must keep its value for good.
/// kFile -> kOpen, kFile -> kOwn.
class Hold {
 public:
  Hold(View view, InodeNumber inode, uint64_t offset, std::string text)
      : Hold(std::variant<View, Pin>(std::move(view)), inode, offset, std::move(text), Access::kReadOnly) {}
  Hold(Pin pin, InodeNumber inode, uint64_t offset, std::string text, Access access)
      : Hold(std::variant<View, Pin>(std::move(pin)), inode, offset, std::move(text), access) {}

  [[nodiscard]] InodeNumber inode() const { return inode_; }
  [[nodiscard]] uint64_t size() const { return text_.size(); }

  /// The file's bytes in [offset, end) changed in place.
  void changed(uint64_t offset, uint64_t end);
  /// The file lost [offset, end): whole frames leave it, parts of frames are changed.
  void removed(uint64_t offset, uint64_t end);

  /// What differs from what must be; empty if nothing does.
  [[nodiscard]] std::string difference() const;

  /// Writes `byte` through a pin for writing, as a device would, where it is certain what that does: to bytes that are
  /// the file's or the hold's own. Returns the place in the file if the file's byte has changed with it.
  std::optional<uint64_t> poke(uint64_t at, char byte);

 private:
  enum class State : uint8_t { kFile, kOpen, kOwn };

  Hold(std::variant<View, Pin> held, InodeNumber inode, uint64_t offset, std::string text, Access access);
  [[nodiscard]] std::vector<std::span<const std::byte>> pieces() const;
  void set(uint64_t offset, uint64_t end, State state);

  std::variant<View, Pin> held_;
  InodeNumber inode_;
  uint64_t offset_;
  std::string text_;
  std::vector<State> states_;
  Access access_;
};

}  // namespace dmap::testing

#endif  // DMAP_TESTING_MODEL_HOLD_H_
