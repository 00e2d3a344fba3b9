// SPDX-License-Identifier: Apache-2.0
//
// The reference model's file content: blocks in a map; what is not there reads as zeros.
#ifndef DMAP_TESTING_MODEL_CONTENT_H_
#define DMAP_TESTING_MODEL_CONTENT_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace dmap::testing {

class Content {
 public:
  static constexpr uint64_t kBlock = 4096;

  [[nodiscard]] uint64_t size() const { return size_; }
  /// Cut at the end.
  [[nodiscard]] std::string read(uint64_t offset, uint64_t length) const;
  /// Extends if need be. Nothing happens for an empty text.
  void write(uint64_t offset, std::string_view text);
  void truncate(uint64_t size);
  /// Zeros in [offset, offset + length); the size stays.
  void punch(uint64_t offset, uint64_t length);

  /// The first byte at or behind `offset` that is not zero, so certainly data.
  [[nodiscard]] std::optional<uint64_t> first_nonzero(uint64_t offset) const;
  /// Every block of the range has been written since it last was a hole, so it certainly has frames.
  [[nodiscard]] bool all_written(uint64_t offset, uint64_t length) const;
  /// Blocks that may differ from zeros: a full comparison looks at these.
  [[nodiscard]] const std::map<uint64_t, std::string>& blocks() const { return blocks_; }

 private:
  uint64_t size_ = 0;
  std::map<uint64_t, std::string> blocks_;  // block number -> kBlock bytes, zeros behind the end
};

}  // namespace dmap::testing

#endif  // DMAP_TESTING_MODEL_CONTENT_H_
