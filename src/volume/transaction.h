// SPDX-License-Identifier: Apache-2.0
//
// One operation's changes to the metadata, in the words that the journal stores: keys put and erased, frames claimed
// and released. Running and replaying an operation apply the same words by the same code, which is why they cannot
// disagree. Applying a word twice is the same as once.
#ifndef DMAP_VOLUME_TRANSACTION_H_
#define DMAP_VOLUME_TRANSACTION_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include "dmap/result.h"
#include "dmap/types.h"
#include "tree/key.h"

namespace dmap {

/// What the volume counts; every operation carries the numbers as they are after it.
struct Counters {
  uint64_t inode_next = 2;
  uint64_t inodes = 0;
};

struct PutKey {
  Key key;
  std::span<const std::byte> value;
};
struct EraseKey {
  Key key;
};
struct ClaimFrames {
  Extent extent;
};
struct ReleaseFrames {
  Extent extent;
};
struct AddZone {
  Extent extent;
};
using Change = std::variant<PutKey, EraseKey, ClaimFrames, ReleaseFrames, AddZone>;

class Transaction {
 public:
  Transaction();

  void put(const Key& key, std::span<const std::byte> value);
  void erase(const Key& key);
  /// The frames belong to a file from now on; they were reserved before.
  void claim(Extent extent);
  /// The frames belong to nobody from now on.
  void release(Extent extent);
  void add_zone(Extent extent);
  void add_inodes(int64_t more) { inodes_more_ += more; }

  [[nodiscard]] bool empty() const { return key_changes_ + frame_changes_ == 0 && inodes_more_ == 0; }
  /// Parts of the tree that the keys are in: neighbours, such as a file's extents, count once.
  [[nodiscard]] size_t key_areas() const { return key_areas_; }
  /// Extents claimed and released, and the frames in them.
  [[nodiscard]] size_t frame_changes() const { return frame_changes_; }
  [[nodiscard]] uint64_t frames_changed() const { return frames_changed_; }
  [[nodiscard]] int64_t inodes_more() const { return inodes_more_; }
  [[nodiscard]] size_t size() const { return bytes_.size(); }

  /// The record's payload, with `counters` in it. Valid until the next change.
  std::span<const std::byte> seal(const Counters& counters);

 private:
  void note_area(const Key& key);
  void frames(uint8_t tag, Extent extent);
  void word(uint8_t tag, std::span<const std::byte> fixed, std::span<const std::byte> value = {});

  std::vector<std::byte> bytes_;
  size_t key_changes_ = 0;
  size_t key_areas_ = 0;
  Key last_key_{};
  size_t frame_changes_ = 0;
  uint64_t frames_changed_ = 0;
  int64_t inodes_more_ = 0;
};

/// A sealed payload, read word by word. Total: bytes that are no words are `corrupt`.
class TransactionReader {
 public:
  static Result<TransactionReader> open(std::span<const std::byte> payload);

  [[nodiscard]] const Counters& counters() const { return counters_; }
  [[nodiscard]] bool at_end() const { return rest_.empty(); }
  [[nodiscard]] Result<Change> next();

 private:
  TransactionReader(Counters counters, std::span<const std::byte> rest) : counters_(counters), rest_(rest) {}
  Counters counters_;
  std::span<const std::byte> rest_;
};

}  // namespace dmap

#endif  // DMAP_VOLUME_TRANSACTION_H_
