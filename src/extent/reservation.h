// SPDX-License-Identifier: Apache-2.0
#ifndef DMAP_EXTENT_RESERVATION_H_
#define DMAP_EXTENT_RESERVATION_H_

#include <array>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "dmap/types.h"

namespace dmap {

class SpaceMap;

/// Extents in the order in which they were added; up to four need no memory. Neighbours become one.
class ExtentList {
 public:
  void append(Extent extent);
  void clear() { few_count_ = 0, many_.clear(); }

  [[nodiscard]] std::span<const Extent> all() const {
    return many_.empty() ? std::span<const Extent>(few_.data(), few_count_) : many_;
  }

 private:
  static constexpr size_t kFew = 4;

  std::array<Extent, kFew> few_;
  size_t few_count_ = 0;
  std::vector<Extent> many_;  // all of them, once there are more than a few
};

/// Frames promised to one operation. SpaceMap::commit() makes them owned; dying gives them back at once, so whatever
/// was moving bytes into them must have ended. Must not outlive its SpaceMap.
class [[nodiscard]] Reservation {
 public:
  Reservation() = default;
  Reservation(Reservation&& other) noexcept
      : map_(std::exchange(other.map_, nullptr)), pieces_(std::exchange(other.pieces_, {})), frames_(other.frames_) {}
  Reservation& operator=(Reservation&& other) noexcept {
    std::swap(map_, other.map_);
    std::swap(pieces_, other.pieces_);
    std::swap(frames_, other.frames_);
    return *this;
  }
  ~Reservation();

  /// What was promised, in the order in which a file should use it.
  [[nodiscard]] std::span<const Extent> pieces() const { return pieces_.all(); }
  [[nodiscard]] FrameCount frames() const { return frames_; }

 private:
  friend class SpaceMap;
  explicit Reservation(SpaceMap& map) : map_(&map) {}
  void append(Extent extent) { pieces_.append(extent), frames_ += extent.count; }

  SpaceMap* map_ = nullptr;
  ExtentList pieces_;
  FrameCount frames_;
};

}  // namespace dmap

#endif  // DMAP_EXTENT_RESERVATION_H_
