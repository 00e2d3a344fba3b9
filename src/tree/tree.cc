// SPDX-License-Identifier: Apache-2.0
#include "tree/tree.h"

#include <algorithm>
#include <utility>

namespace dmap {

Tree::Tree(NodeFrames& frames, uint64_t volume, const Root& root)
    : frames_(&frames),
      volume_(volume),
      root_(root),
      generation_(root.generation + 1),
      frozen_through_(root.generation),
      pool_(std::make_unique<NodePool>()) {}

Result<Tree> Tree::open(NodeFrames& frames, uint64_t volume, const Root& root) {
  const char* fault = nullptr;
  if (root.height > kHeightMax) fault = "the tree is higher than any";
  if (root.height == 0 && root.entries > 0) fault = "an empty tree has entries";
  if (root.height > 0 && root.node_generation > root.generation) fault = "the root is younger than its checkpoint";
  if (root.generation > ~uint64_t{0} / 2) fault = "no checkpoint could follow";
  if (fault != nullptr) return fail(Code::kCorrupt, "open tree", to_string(root.pfn), fault);
  return Tree(frames, volume, root);
}

/// The node that `child` names, where it is now. The few comparisons guard against a node that was met as another
/// parent's child: on a device with wrong bytes two parents may name one frame.
Result<const Node*> Tree::node(Child child, unsigned level, const KeyRange& range) const {
  NodePlace place = frames_->place(child.pfn);
  if (place.word != nullptr) [[likely]] {
    // relaxed: who sets the word holds the lock; readers that set it to kVerified only say what all may find out
    uintptr_t word = place.word->load(std::memory_order_relaxed);
    if (word != kUnmet) [[likely]] {
      const auto* node =
          reinterpret_cast<const Node*>(word == kVerified ? place.bytes : reinterpret_cast<const std::byte*>(word));
      bool may_be_read = word != kVerified || child.generation <= frozen_through_;
      bool is_child = node->header.generation == child.generation && node->header.level == level;
      if (may_be_read && is_child) [[likely]]
        return node;
    }
  }
  return meet(child, level, range);
}

Result<const Node*> Tree::meet(Child child, unsigned level, const KeyRange& range) const {
  const Node* node = DMAP_TRY(examine({.volume = volume_, .child = child, .level = level, .range = range}));
  // relaxed: pairs with the load in node(), see there
  if (word(child.pfn).load(std::memory_order_relaxed) == kUnmet) {
    word(child.pfn).store(kVerified, std::memory_order_relaxed);
  }
  return node;
}

Result<const Node*> Tree::examine(const Expected& expected) const {
  Pfn pfn = expected.child.pfn;
  NodePlace place = frames_->place(pfn);
  if (place.word == nullptr) return std::unexpected(corrupt_node(expected, "it lies in no metadata zone"));
  if (!frames_->is_live(pfn)) return std::unexpected(corrupt_node(expected, "the zone's map says it is free"));
  uintptr_t word = place.word->load(std::memory_order_relaxed);  // see node()
  bool in_ram = word != kUnmet && word != kVerified;
  const auto* node = in_ram ? reinterpret_cast<const Node*>(word) : reinterpret_cast<const Node*>(place.bytes);
  const char* fault = in_ram ? node_fault(*node, expected) : stored_node_fault(*node, expected);
  if (!in_ram && expected.child.generation > frozen_through_) fault = "it is younger than the newest checkpoint";
  if (fault != nullptr) return std::unexpected(corrupt_node(expected, fault));
  return node;
}

Result<Value> Tree::value_of(const Step& step) const {
  ValueSlot slot = step.node->slots()[step.index];
  if (is_within_node(slot)) [[likely]]
    return step.node->value(slot);
  Expected expected{.volume = volume_, .child = step.child, .level = 0, .range = step.range};
  return std::unexpected(corrupt_node(expected, "a value lies outside of it"));
}

Result<std::optional<Value>> Tree::find(Key key) const {
  if (root_.height == 0) return std::nullopt;
  Step step;
  step.child = root_child();
  for (unsigned level = root_.height - 1;; --level) {
    step.node = DMAP_TRY(node(step.child, level, step.range));
    if (level == 0) break;
    step.index = child_of(*step.node, key);
    step.range = range_of_child(*step.node, step.index, step.range);
    step.child = step.node->child_words()[step.index];
  }
  const Node& leaf = *step.node;
  step.index = lower_bound(leaf.keys(), leaf.entries(), key);
  if (step.index == leaf.entries() || leaf.keys()[step.index] != key) return std::nullopt;
  return DMAP_TRY(value_of(step));
}

/// The path to the leaf that holds or would hold `key`, ending at the first entry not below it.
Result<void> Tree::descend(Key key, Path& path) const {
  Child child = root_child();
  KeyRange range;
  for (unsigned level = root_.height; level-- > 0;) {
    Step& step = path[level];
    step.node = DMAP_TRY(node(child, level, range));
    step.child = child;
    step.range = range;
    if (level == 0) {
      step.index = lower_bound(step.node->keys(), step.node->entries(), key);
    } else {
      step.index = child_of(*step.node, key);
      range = range_of_child(*step.node, step.index, range);
      child = step.node->child_words()[step.index];
    }
  }
  return {};
}

/// The node, made by a Change, is of the tree from now on.
void Tree::adopt(Node* node) {
  word(node->header.pfn).store(reinterpret_cast<uintptr_t>(node), std::memory_order_relaxed);  // under the lock
  list_dirty(node);
}

/// The node is of the newest tree no longer. Its RAM, if it has any, goes back now, or when its Frozen does.
void Tree::retire(Pfn pfn) {
  uintptr_t word = this->word(pfn).exchange(kUnmet, std::memory_order_relaxed);  // under the lock
  frames_->free(pfn);
  if (word == kUnmet || word == kVerified) return;
  auto* in_ram = reinterpret_cast<Node*>(word);
  if (!is_listed(in_ram)) return;
  uint32_t index = NodePool::tag(in_ram);
  dirty_[index] = dirty_.back();
  NodePool::tag(dirty_[index]) = index;
  dirty_.pop_back();
  pool_->release(in_ram);
}

void Tree::list_dirty(Node* node) {
  NodePool::tag(node) = static_cast<uint32_t>(dirty_.size());
  dirty_.push_back(node);
}

/// Frozen nodes keep the index they once had, so the list has to agree.
bool Tree::is_listed(Node* node) const {
  uint32_t index = NodePool::tag(node);
  return index < dirty_.size() && dirty_[index] == node;
}

Frozen Tree::freeze(uint64_t generation) {
  CHECK(!frozen_ && generation >= generation_);
  root_.generation = generation;
  frozen_through_ = generation;
  generation_ = generation + 1;
  frozen_ = true;
  frozen_nodes_ = dirty_.size();
  Frozen frozen;
  frozen.root_ = root_;
  frozen.nodes_ = std::exchange(dirty_, {});
  return frozen;
}

bool Tree::thaw(Frozen& frozen, size_t nodes_max) {
  CHECK(frozen_ && frozen_nodes_ == frozen.size());
  for (; nodes_max > 0 && !frozen.nodes_.empty(); --nodes_max) {
    Node* node = frozen.nodes_.back();
    frozen.nodes_.pop_back();
    // relaxed: under the lock. A retired node's frame has another word by now.
    auto in_ram = reinterpret_cast<uintptr_t>(node);
    word(node->header.pfn).compare_exchange_strong(in_ram, kUnmet, std::memory_order_relaxed);
    pool_->release(node);
  }
  frozen_nodes_ = frozen.size();
  frozen_ = frozen_nodes_ > 0;
  return !frozen_;
}

void Tree::put_back(Frozen frozen) {  // NOLINT(performance-unnecessary-value-param): it is used up
  CHECK(frozen_ && frozen_nodes_ == frozen.size());
  for (Node* node : frozen.nodes_) {
    bool current = word(node->header.pfn).load(std::memory_order_relaxed) == reinterpret_cast<uintptr_t>(node);
    current ? list_dirty(node) : pool_->release(node);
  }
  frozen_ = false;
  frozen_nodes_ = 0;
}

void Frozen::sort_by_pfn() {
  std::sort(nodes_.begin(), nodes_.end(), [](const Node* a, const Node* b) { return a->header.pfn < b->header.pfn; });
}

Frozen::Image Frozen::image(size_t index) {
  Node* node = nodes_[index];
  node->header.crc = node_crc(*node);  // nobody else reads or writes a frozen node's checksum: see copy_node()
  return {.pfn = node->header.pfn, .bytes = std::span<const std::byte, kNodeSize>(node->bytes(), kNodeSize)};
}

}  // namespace dmap
