// SPDX-License-Identifier: Apache-2.0
//
// The copy-on-write B+tree that holds all metadata. It does no I/O: it reads clean nodes where the device has them,
// keeps changed ones in RAM, and hands them out to be written by a checkpoint.
#ifndef DMAP_TREE_TREE_H_
#define DMAP_TREE_TREE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "dmap/result.h"
#include "tree/key.h"
#include "tree/node.h"
#include "tree/node_check.h"
#include "tree/node_frames.h"
#include "tree/node_pool.h"

namespace dmap {

/// A tree as one checkpoint left it: what a superblock stores.
struct Root {
  Pfn pfn{};                     // the top node's, if height > 0
  uint64_t node_generation = 0;  // the top node's: not above `generation`
  uint64_t generation = 0;       // of the checkpoint
  uint64_t entries = 0;
  uint32_t height = 0;  // levels; 0 is the empty tree
};

/// The nodes that a checkpoint has to write: all that changed since the one before, as of Tree::freeze(). The thread
/// that holds it reads it without any lock while the tree goes on. Goes back by Tree::thaw() or Tree::put_back(); it
/// must not be used once the tree is gone.
class Frozen {
 public:
  struct Image {
    Pfn pfn;
    std::span<const std::byte, kNodeSize> bytes;  // aligned to 4 KiB; valid until thawed or put back
  };

  const Root& root() const { return root_; }
  uint64_t generation() const { return root_.generation; }
  size_t size() const { return nodes_.size(); }
  /// In the order of their frames, so that neighbours may go out in one write. Call it first, if at all.
  void sort_by_pfn();
  /// The node's frame and final bytes; makes the checksum. No two threads at once for the same index.
  Image image(size_t index);

 private:
  friend class Tree;
  Root root_;
  std::vector<Node*> nodes_;
};

/// Invariants, proved by check_invariants():
///   T1  keys ascend within a node and lie in the range that its parent gives it; all leaves are at level 0
///   T2  a parent's word on a child is the child's pfn and generation, and no child is younger than its parent
///   T3  a node is *dirty* (may be changed in place) if it was born after the last freeze; it is in RAM, as is its
///   parent T4  a node that is not dirty never changes: a change copies it and its ancestors into frames of their own,
///       so a (pfn, generation) pair stands for one content only
///   T5  every node is a live frame of NodeFrames, whose word knows if it is in RAM
///
/// A node:  dirty -> frozen -> clean,  freeze() and thaw();  frozen -> waiting -> frozen,  put_back() and the next
/// freeze().
///
/// Thread safety: none of its own. The caller holds a shared lock for const functions and an exclusive one for the
/// rest, the same lock that NodeFrames is used under. Spans and cursors are valid until that lock is given up.
///
/// Errors: kCorrupt for a node on the device that cannot be true, naming its pfn, the keys it should hold and what is
/// wrong; kNoSpace, kNoMemory. A change that fails has changed nothing. Nothing blocks, but for page faults of the
/// device. A device that fails under a load gives bytes that mean nothing: whoever maps it asks it after every call
/// (see docs/ARCHITECTURE.md, "a device that fails under a load"); until then the tree stays within its frames, and
/// ends.
class Tree {
 public:
  /// The tree that `root` names, or an empty one for Root{}. `volume` tags its nodes; `frames` outlives it.
  /// Errors: kCorrupt if the root contradicts itself. No node is read before it is needed.
  static Result<Tree> open(NodeFrames& frames, uint64_t volume, const Root& root);

  /// The value of `key`, in place.
  Result<std::optional<Value>> find(Key key) const;

  /// Sets the value of `key`, of at most kValueMax bytes (else kTooBig); it must not lie in the tree itself.
  Result<void> put(Key key, Value value);
  /// Whether there was such a key.
  Result<bool> erase(Key key);
  /// Erases the lowest keys in [first, last], at most `entries_max` of them, and says how many. An error on the way is
  /// returned if nothing was erased; else by the next call.
  Result<size_t> erase_some(Key first, Key last, size_t entries_max);

  /// The most frames that one put() or erase() takes now. The height may grow by one on the way through many changes:
  /// `changes` * (node_frames_max_per_change() + 2) is enough for them all.
  size_t node_frames_max_per_change() const { return 2 * size_t{root_.height} + 1; }

  /// Freezes all changes up to now as checkpoint `generation`, above all before it. Takes no time and no memory.
  /// One checkpoint at a time: the Frozen before must have gone back.
  Frozen freeze(uint64_t generation);
  /// After the checkpoint is complete: frozen nodes become clean, to be read (and verified) in place, and their RAM is
  /// given back. Looks at up to `nodes_max` of them, so that the lock need not be held for long; true when done.
  bool thaw(Frozen& frozen, size_t nodes_max = ~size_t{0});
  /// After the checkpoint failed: its nodes stay in RAM, for the next to write them.
  void put_back(Frozen frozen);

  uint64_t entries() const { return root_.entries; }
  uint32_t height() const { return root_.height; }
  /// Nodes that the next freeze() will hand out, and those that a Frozen still holds.
  size_t dirty_nodes() const { return dirty_.size(); }
  size_t frozen_nodes() const { return frozen_nodes_; }
  /// RAM taken for nodes, in bytes.
  size_t ram_bytes() const { return pool_->bytes(); }

  /// What check() saw. `nodes` equals the live frames of NodeFrames if none is lost.
  struct Census {
    uint64_t nodes = 0;
    uint64_t entries = 0;
    uint64_t findings = 0;
  };
  /// Walks the whole tree, verifying every node on the device again. Calls `finding` for everything that is wrong and
  /// goes on beside it; `entry` for all entries that can be reached, in order. Memory is bounded by the height.
  Census check(const std::function<void(const Error&)>& finding,
               const std::function<void(Key, Value)>& entry = {}) const;
  /// T1 to T5; the first thing wrong is the error. For tests and check.
  Result<void> check_invariants() const;

 private:
  friend class Cursor;
  class Change;
  struct Repair;

  /// A node on the way from the root, its parent's word on it, which entry or child of it the way takes, and the keys
  /// it may hold. The word is what counts: a clean node's own header may have changed since it was verified.
  struct Step {
    const Node* node = nullptr;
    Child child;
    size_t index = 0;
    KeyRange range;
  };
  using Path = std::array<Step, kHeightMax>;  // by level

  Tree(NodeFrames& frames, uint64_t volume, const Root& root);

  Child root_child() const { return {root_.pfn, root_.node_generation}; }
  Result<const Node*> node(Child child, unsigned level, const KeyRange& range) const;
  Result<const Node*> meet(Child child, unsigned level, const KeyRange& range) const;
  Result<Value> value_of(const Step& leaf_step) const;
  Result<void> descend(Key key, Path& path) const;

  void split(Change& change, const Path& path, const Entry& entry, size_t after);
  Result<Repair> plan_erase(const Path& path) const;
  void merge(Node& node, Node& parent, size_t index, const Step& sibling);
  static void share(Node& left, Node& right, Key& separator);
  void set_root(Child child, uint32_t height);
  void lower_root();

  bool is_dirty(Child child) const { return child.generation > frozen_through_; }
  NodeWord& word(Pfn known) const { return *frames_->place(known).word; }
  void adopt(Node* node);
  void retire(Pfn pfn);
  void list_dirty(Node* node);
  bool is_listed(Node* node) const;

  struct Walk;
  void walk(Walk& all, Child child, unsigned level, const KeyRange& range) const;
  Result<const Node*> examine(const Expected& expected) const;

  NodeFrames* frames_;
  uint64_t volume_;
  Root root_;                // of the newest tree; root_.generation is that of the last freeze or open
  uint64_t generation_;      // that nodes are born for
  uint64_t frozen_through_;  // nodes of this generation and before never change
  bool frozen_ = false;      // a Frozen is out
  size_t frozen_nodes_ = 0;
  std::vector<Node*> dirty_;  // all nodes in RAM that no Frozen holds; each knows its index (NodePool::tag)
  std::unique_ptr<NodePool> pool_;
};

}  // namespace dmap

#endif  // DMAP_TREE_TREE_H_
