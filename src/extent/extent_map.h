// SPDX-License-Identifier: Apache-2.0
//
// Where a file's frames are: a map from the file's frames to the volume's, in RAM, read without locks.
//
// A B+tree of immutable nodes. A change builds copies of the nodes on its path, shares all others, and publishes them
// with one store of the root; what it replaced is freed after a grace period. So a reader that took the root once walks
// one version of the map for as long as its read section lasts, whatever writers do meanwhile. The form is that of
// copy-on-write trees (Rodeh, "B-trees, Shadowing, and Clones", 2008), with RCU in the place of reference counts.
//
// Invariants (check_invariants() proves them):
//   E1  mappings are ascending, not empty, do not overlap and end within kFileFrames
//   E2  no two neighbours could be one mapping: contiguous in file and device, born alike, written alike
//   E3  a child's key is the first frame that its subtree maps, so the key after a leaf is where the next mapping
//   starts E4  all leaves are equally deep and no node is empty; an inner root has two children or more E5  two
//   neighbouring children of one node together fill more than half a node, which bounds the depth E6  count() and
//   bytes() are what the nodes add up to
#ifndef DMAP_EXTENT_EXTENT_MAP_H_
#define DMAP_EXTENT_EXTENT_MAP_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <type_traits>
#include <utility>

#include "base/rcu.h"
#include "dmap/result.h"
#include "dmap/types.h"

namespace dmap {

/// Frames of a file are numbered [0, kFileFrames): as many as 64-bit offsets reach.
inline constexpr uint64_t kFileFrames = uint64_t{1} << (64 - kFrameShift);

/// Frames [file_frame, file_frame + frames) of a file are at [pfn, pfn + frames), on one device.
struct Mapping {
  uint64_t file_frame = 0;
  Pfn pfn{};
  uint64_t frames = 0;
  uint32_t birth = 0;    // when the frames came to this file; frames of different births are never one mapping
  bool written = false;  // false: allocated but never written, reads as zero

  friend bool operator==(const Mapping&, const Mapping&) = default;
  uint64_t end() const { return file_frame + frames; }
  /// The part within frames [first, last) of the file; the two must overlap.
  Mapping clipped(uint64_t first, uint64_t last) const {
    uint64_t start = std::max(file_frame, first);
    return {start, pfn + FrameCount{start - file_frame}, std::min(end(), last) - start, birth, written};
  }
};
static_assert(sizeof(Mapping) == 32);

enum class SegmentKind : uint8_t {
  kHole,       // no frames: reads as zero
  kUnwritten,  // frames, never written: reads as zero
  kWritten,
};

/// A stretch of a file: one mapping, or all the hole between two.
struct Segment {
  uint64_t first = 0;   // file frame
  uint64_t frames = 0;  // of the last hole: up to kFileFrames
  Pfn pfn{};            // of `first`; no meaning for a hole
  uint32_t birth = 0;   // no meaning for a hole
  SegmentKind kind = SegmentKind::kHole;

  friend bool operator==(const Segment&, const Segment&) = default;
  uint64_t end() const { return first + frames; }
  bool is_hole() const { return kind == SegmentKind::kHole; }
  bool reads_zero() const { return kind != SegmentKind::kWritten; }
  /// What a segment that is no hole was made of.
  Mapping mapping() const { return {first, pfn, frames, birth, kind == SegmentKind::kWritten}; }
};

/// What a visitor of mappings says: go on, or stop here. A visitor that returns nothing sees them all.
enum class Visit : uint8_t { kMore, kStop };

struct ExtentNode;

/// One version of an ExtentMap, unchanging. Valid in the RcuReadSection it was taken in (an Edit's: until its next
/// change). Nothing here locks, blocks, allocates or recurses.
class ExtentVersion {
 public:
  /// The mapping that holds `file_frame`, or the whole hole around it. file_frame < kFileFrames.
  [[nodiscard]] Segment find(uint64_t file_frame) const;

  /// Calls `visit(const Mapping&)` for what is mapped within [first, first + count), ascending, clipped to that range.
  template <typename F>
  void for_each(uint64_t first, uint64_t count, F&& visit) const;

  /// The first frame at or after `file_frame` that was written; kFileFrames if there is none.
  [[nodiscard]] uint64_t next_data(uint64_t file_frame) const;
  /// The first frame at or after `file_frame` that reads as zero, unmapped or unwritten; kFileFrames if there is none.
  [[nodiscard]] uint64_t next_hole(uint64_t file_frame) const;

  /// Whether both are the same version; of two in one read section.
  friend bool operator==(const ExtentVersion&, const ExtentVersion&) = default;

 private:
  friend class ExtentMap;
  explicit ExtentVersion(const ExtentNode* root) : root_(root) {}

  /// The rest of one leaf: its mappings from the first that ends after a frame, and where the next leaf starts.
  struct LeafPart {
    std::span<const Mapping> mappings;
    uint64_t next_leaf;
  };
  [[nodiscard]] LeafPart leaf_part(uint64_t file_frame) const;

  const ExtentNode* root_;
};

/// A file's extent map. Reading: any thread, inside an RcuReadSection. Changing: one thread at a time (the inode's
/// lock), inside a read section or not. Its address must not change while there are readers.
class ExtentMap {
 public:
  class Edit;
  class Builder;

  ExtentMap() = default;
  ExtentMap(const ExtentMap&) = delete;
  ExtentMap& operator=(const ExtentMap&) = delete;
  /// Frees everything at once: no reader may be left. (An object that dies by RCU itself has none.)
  ~ExtentMap();

  /// The version that is published now. Two reads that must agree use one version.
  [[nodiscard]] ExtentVersion version() const {
    // acquire: the nodes' contents; pairs with the release in publish()
    return ExtentVersion(root_.load(std::memory_order_acquire));
  }
  [[nodiscard]] Segment find(uint64_t file_frame) const { return version().find(file_frame); }

  /// Opens a change. At most one is open at a time.
  [[nodiscard]] Edit edit();
  /// Publishes what was built. The map must be empty and have no Edit open.
  void load(Builder&& built);
  /// Publishes the empty map; the nodes are freed after a grace period. No Edit may be open.
  void clear();

  /// Mappings in the published version.
  [[nodiscard]] uint64_t count() const { return count_.load(std::memory_order_relaxed); }
  /// Memory of the published version's nodes. What waits for a grace period is not counted.
  [[nodiscard]] Bytes bytes() const { return Bytes{bytes_.load(std::memory_order_relaxed)}; }
  /// Levels of nodes: 0 when empty, 1 for up to 32 mappings. For the writer.
  [[nodiscard]] unsigned depth() const;
  /// CHECKs E1 to E6. For the writer.
  void check_invariants() const;

 private:
  void publish(ExtentNode* root, uint64_t count, uint64_t bytes);

  std::atomic<ExtentNode*> root_ = nullptr;
  std::atomic<uint64_t> count_ = 0;  // relaxed: a number to look at, orders nothing
  std::atomic<uint64_t> bytes_ = 0;  // relaxed: as count_
  uint64_t edits_ : 63 = 0;          // the writer's: how many were published; a node of a later number is an Edit's own
  uint64_t editing_ : 1 = 0;         // the writer's: an Edit is open
};

/// Several changes that readers see all at once, or not at all if it dies unpublished. Costs log n per change; a node
/// is copied once however often it changes.
class ExtentMap::Edit {
 public:
  Edit(const Edit&) = delete;
  Edit& operator=(const Edit&) = delete;
  ~Edit();

  /// The map as changed so far.
  [[nodiscard]] ExtentVersion version() const { return ExtentVersion(root_); }

  /// Maps a range that is a hole so far. Neighbours that it continues become one mapping with it (E2).
  void insert(const Mapping& mapping);

  /// Makes [first, first + count) a hole. `removed(const Mapping&)` gets each piece, ascending, before anything
  /// changes.
  template <typename F>
  void erase(uint64_t first, uint64_t count, F&& removed) {
    version().for_each(first, count, std::forward<F>(removed));
    cut(first, count);
  }
  /// Maps a range, whatever it was; `removed` as for erase().
  template <typename F>
  void replace(const Mapping& mapping, F&& removed) {
    erase(mapping.file_frame, mapping.frames, std::forward<F>(removed));
    insert(mapping);
  }

  /// Readers that come from now on see the changes. Ends the edit.
  void publish();

  /// Nodes allocated so far: the copies this edit cost.
  [[nodiscard]] uint64_t nodes_allocated() const { return nodes_allocated_; }

 private:
  friend class ExtentMap;
  struct Grown;
  explicit Edit(ExtentMap& map);

  void cut(uint64_t first, uint64_t count);
  void put(const Mapping& mapping);
  void drop(uint64_t first, uint64_t end);

  Grown put_below(ExtentNode* node, const Mapping& mapping, bool rightmost);
  ExtentNode* drop_below(ExtentNode* node, uint64_t first, uint64_t end);
  void settle(ExtentNode* parent, unsigned from, unsigned to);
  ExtentNode* join(ExtentNode* left, ExtentNode* right);
  template <typename Entry>
  ExtentNode* join_entries(ExtentNode* left, ExtentNode* right);
  template <typename Entry>
  Grown add_entry(ExtentNode* node, unsigned at, const Entry& entry, bool rightmost);
  template <typename Entry>
  ExtentNode* with(ExtentNode* node, unsigned at, const Entry& entry);
  template <typename Entry>
  ExtentNode* without(ExtentNode* node, unsigned from, unsigned to);
  template <typename Entry>
  ExtentNode* own(ExtentNode* node, unsigned room = 0);
  template <typename Entry>
  ExtentNode* resized(ExtentNode* node, unsigned capacity);

  bool is_own(const ExtentNode* node) const;
  ExtentNode* allocate(unsigned level, unsigned capacity);
  void discard(ExtentNode* node);
  uint64_t discard_tree(ExtentNode* node);
  void abandon(ExtentNode* node);

  ExtentMap* map_;  // null once published
  ExtentNode* root_;
  ExtentNode* replaced_ = nullptr;  // published nodes that the new version does without, chained
  uint64_t number_;
  uint64_t count_;
  uint64_t bytes_;
  uint64_t nodes_allocated_ = 0;
};

/// Builds a map from a stream in ascending order, into full nodes, in linear time.
class ExtentMap::Builder {
 public:
  Builder() = default;
  Builder(const Builder&) = delete;
  Builder& operator=(const Builder&) = delete;
  ~Builder();

  /// Adds what comes next; what continues the one before becomes one mapping with it.
  /// Errors: corrupt, if it is empty, reaches too far, or does not start at or after the end of the one before.
  [[nodiscard]] Result<void> add(const Mapping& mapping);

 private:
  friend class ExtentMap;
  static constexpr unsigned kLevelsMax = 8;

  void flush();
  template <typename Entry>
  void append(unsigned level, const Entry& entry);
  template <typename Entry>
  ExtentNode* shrunk(ExtentNode* node);
  ExtentNode* finish();

  ExtentNode* open_[kLevelsMax] = {};  // of each level, the node being filled
  Mapping last_{};                     // not in a leaf yet, since the next may continue it
  uint64_t count_ = 0;
  uint64_t bytes_ = 0;
};

template <typename F>
void ExtentVersion::for_each(uint64_t first, uint64_t count, F&& visit) const {
  const uint64_t end = first < kFileFrames ? first + std::min(count, kFileFrames - first) : first;
  for (uint64_t frame = first; frame < end;) {
    LeafPart part = leaf_part(frame);
    for (const Mapping& mapping : part.mappings) {
      if (mapping.file_frame >= end) return;
      if constexpr (std::is_same_v<std::invoke_result_t<F&, const Mapping&>, Visit>) {
        if (std::invoke(visit, mapping.clipped(first, end)) == Visit::kStop) return;
      } else {
        std::invoke(visit, mapping.clipped(first, end));
      }
    }
    frame = part.next_leaf;
  }
}

}  // namespace dmap

#endif  // DMAP_EXTENT_EXTENT_MAP_H_
