// SPDX-License-Identifier: Apache-2.0
//
// How an extent map is changed.
#include "base/check.h"
#include "extent/extent_map.h"
#include "extent/extent_map_node.h"

namespace dmap {

using namespace extent_map;  // NOLINT(google-build-using-namespace): its nodes

namespace {

/// One grace period for all that an edit replaced: the chain's first node stands for the others.
void free_replaced(ExtentNode* node) {
  while (node != nullptr) free_node(std::exchange(node, node->next_replaced));
}

}  // namespace

// The operations

struct ExtentMap::Edit::Grown {
  ExtentNode* node;
  ExtentNode* right = nullptr;  // the node's new neighbour, if it was split
};

ExtentMap::Edit::Edit(ExtentMap& map)
    : map_(&map),
      root_(map.root_.load(std::memory_order_relaxed)),  // relaxed: only writers store, and we are the writer
      number_(map.edits_ + 1),
      count_(map.count()),
      bytes_(map.bytes().value) {
  CHECK(!map.editing_);
  map.editing_ = 1;
}

ExtentMap::Edit::~Edit() {
  if (map_ == nullptr) return;
  if (root_ != nullptr) abandon(root_);
  while (replaced_ != nullptr) {  // they stay, and belong to no edit to come
    ExtentNode* node = std::exchange(replaced_, replaced_->next_replaced);
    node->number = 0;
  }
  map_->editing_ = 0;
}

void ExtentMap::Edit::publish() {
  CHECK(map_ != nullptr);
  if (root_ != nullptr && root_->level == 0 && root_->capacity > capacity_for(root_->count)) {
    root_ = resized<Mapping>(root_, capacity_for(root_->count));
  }
  map_->publish(root_, count_, bytes_);
  map_->edits_ = number_;
  map_->editing_ = 0;
  map_ = nullptr;
  if (replaced_ != nullptr) rcu_retire<free_replaced>(replaced_);
}

void ExtentMap::Edit::insert(const Mapping& mapping) {
  CHECK(map_ != nullptr && is_within_a_file(mapping));
  Segment hole = version().find(mapping.file_frame);
  CHECK(hole.is_hole() && mapping.end() <= hole.end());
  Mapping whole = mapping;
  if (hole.end() == mapping.end() && hole.end() < kFileFrames) {
    Mapping next = version().find(hole.end()).mapping();
    if (continues(whole, next)) {
      drop(next.file_frame, next.end());
      whole.frames += next.frames;
    }
  }
  if (hole.first == mapping.file_frame && hole.first > 0) {
    Mapping previous = version().find(hole.first - 1).mapping();
    if (continues(previous, whole)) {
      previous.frames += whole.frames;
      whole = previous;
    }
  }
  put(whole);
}

/// What overlaps [first, first + count) is dropped, and what of it sticks out is put back.
void ExtentMap::Edit::cut(uint64_t first, uint64_t count) {
  CHECK(map_ != nullptr && first <= kFileFrames);
  const uint64_t end = first + std::min(count, kFileFrames - first);
  if (first == end) return;
  Segment head = version().find(first);
  if (head.is_hole() && head.end() >= end) return;
  Segment tail = version().find(end - 1);
  drop(first, end);
  if (!head.is_hole() && head.first < first) put(head.mapping().clipped(head.first, first));
  if (!tail.is_hole() && tail.end() > end) put(tail.mapping().clipped(end, tail.end()));
}

/// Adds a mapping, or changes the one that starts where it starts.
void ExtentMap::Edit::put(const Mapping& mapping) {
  if (root_ == nullptr) root_ = allocate(0, 1);
  if (root_->count == 0) {
    entries<Mapping>(root_)[root_->count++] = mapping;
    ++count_;
    return;
  }
  Grown grown = put_below(root_, mapping, /*rightmost=*/true);
  root_ = grown.node;
  if (grown.right == nullptr) return;
  ExtentNode* root = allocate(root_->level + 1U, 2);
  entries<Child>(root)[root->count++] = child_of(grown.node);
  entries<Child>(root)[root->count++] = child_of(grown.right);
  root_ = root;
}

/// Removes the mappings that start in [first, end).
void ExtentMap::Edit::drop(uint64_t first, uint64_t end) {
  root_ = drop_below(root_, first, end);
  while (root_ != nullptr && root_->level > 0 && root_->count == 1) {
    discard(std::exchange(root_, entries<Child>(root_)->node));
  }
}

// The tree. Each step takes a node, which it may replace, and returns what stands in its place.

ExtentMap::Edit::Grown ExtentMap::Edit::put_below(ExtentNode* node, const Mapping& mapping, bool rightmost) {
  if (node->level == 0) {
    unsigned at = lower_bound<Mapping>(node, mapping.file_frame);
    if (at == node->count || entries<Mapping>(node)[at].file_frame != mapping.file_frame) {
      ++count_;
      return add_entry(node, at, mapping, rightmost);
    }
    node = own<Mapping>(node);
    entries<Mapping>(node)[at] = mapping;
    return {node};
  }
  unsigned at = position<Child>(node, mapping.file_frame);
  Grown grown = put_below(entries<Child>(node)[at].node, mapping, rightmost && at + 1U == node->count);
  if (is_own(grown.node)) {  // else a full one gained a neighbour, and is unchanged
    bool grows = grown.right != nullptr && node->count < kEntriesMax<Child>;
    node = own<Child>(node, grows ? 1 : 0);
    entries<Child>(node)[at] = child_of(grown.node);
  }
  if (grown.right == nullptr) return {node};
  return add_entry(node, at + 1, child_of(grown.right), rightmost);
}

/// A full node is split in the middle; at the map's end it is left full, so that a file that grows has full nodes.
template <typename Entry>
ExtentMap::Edit::Grown ExtentMap::Edit::add_entry(ExtentNode* node, unsigned at, const Entry& entry, bool rightmost) {
  if (node->count < kEntriesMax<Entry>) return {with(node, at, entry)};
  const unsigned half = rightmost && at == node->count ? node->count : kEntriesMax<Entry> / 2;
  const unsigned moved = node->count - half;
  ExtentNode* right = allocate(node->level, capacity_for(moved + 1));
  std::copy_n(entries<Entry>(node) + half, moved, entries<Entry>(right));
  right->count = static_cast<uint8_t>(moved);
  if (moved > 0) node = without<Entry>(node, half, node->count);
  if (at < half) return {with(node, at, entry), right};
  return {node, with(right, at - half, entry)};
}

ExtentNode* ExtentMap::Edit::drop_below(ExtentNode* node, uint64_t first, uint64_t end) {
  if (node == nullptr) return nullptr;
  if (node->level == 0) {
    unsigned from = lower_bound<Mapping>(node, first);
    unsigned to = lower_bound<Mapping>(node, end);
    count_ -= to - from;
    return without<Mapping>(node, from, to);
  }
  unsigned from = position<Child>(node, first);
  unsigned to = lower_bound<Child>(node, end);
  if (from >= to) return node;
  node = own<Child>(node);
  Child* children = entries<Child>(node);
  unsigned kept = from;
  for (unsigned i = from; i < to; ++i) {
    bool is_edge = i == from || i + 1 == to;
    ExtentNode* rest = is_edge ? drop_below(children[i].node, first, end) : nullptr;
    if (!is_edge) count_ -= discard_tree(children[i].node);
    if (rest != nullptr) children[kept++] = child_of(rest);
  }
  node = without<Child>(node, kept, to);
  if (node != nullptr) settle(node, from == 0 ? 0 : from - 1, kept);
  return node;
}

/// Joins neighbours among children [from, to] of `parent`, which is our own, until E5 holds for them.
void ExtentMap::Edit::settle(ExtentNode* parent, unsigned from, unsigned to) {
  Child* children = entries<Child>(parent);
  for (unsigned at = from; at < to && at + 1U < parent->count;) {
    ExtentNode* left = children[at].node;
    ExtentNode* right = children[at + 1].node;
    if (left->count + right->count > static_cast<int>(entries_max(left) / 2)) {
      ++at;
      continue;
    }
    children[at] = child_of(join(left, right));
    without<Child>(parent, at + 1, at + 2);
    to -= 1;
    if (at > 0) --at;
  }
}

/// One node of two neighbours'; where inner nodes met, children became neighbours too.
ExtentNode* ExtentMap::Edit::join(ExtentNode* left, ExtentNode* right) {
  if (left->level == 0) return join_entries<Mapping>(left, right);
  const unsigned seam = left->count;
  left = join_entries<Child>(left, right);
  settle(left, seam - 1, seam);
  return left;
}

template <typename Entry>
ExtentNode* ExtentMap::Edit::join_entries(ExtentNode* left, ExtentNode* right) {
  left = own<Entry>(left, right->count);
  std::copy_n(entries<Entry>(right), right->count, entries<Entry>(left) + left->count);
  left->count = static_cast<uint8_t>(left->count + right->count);
  discard(right);
  return left;
}

// Single nodes

template <typename Entry>
ExtentNode* ExtentMap::Edit::with(ExtentNode* node, unsigned at, const Entry& entry) {
  node = own<Entry>(node, 1);
  Entry* all = entries<Entry>(node);
  std::copy_backward(all + at, all + node->count, all + node->count + 1);
  all[at] = entry;
  ++node->count;
  return node;
}

/// Without entries [from, to); null if none is left.
template <typename Entry>
ExtentNode* ExtentMap::Edit::without(ExtentNode* node, unsigned from, unsigned to) {
  if (from == to) return node;
  const unsigned left = node->count - (to - from);
  if (left == 0) return discard(node), nullptr;
  const Entry* all = entries<Entry>(node);
  ExtentNode* result = is_own(node) ? node : allocate(node->level, capacity_for(left));
  if (result != node) std::copy(all, all + from, entries<Entry>(result));
  std::copy(all + to, all + node->count, entries<Entry>(result) + from);
  result->count = static_cast<uint8_t>(left);
  if (result != node) discard(node);
  return result;
}

/// `node`, or a copy if it is published; with room for more entries. A node of our own grows by doubling.
template <typename Entry>
ExtentNode* ExtentMap::Edit::own(ExtentNode* node, unsigned room) {
  const unsigned needed = node->count + room;
  if (!is_own(node)) return resized<Entry>(node, capacity_for(needed));
  if (needed <= node->capacity) return node;
  return resized<Entry>(node, std::min(kEntriesMax<Entry>, std::max(capacity_for(needed), 2U * node->capacity)));
}

template <typename Entry>
ExtentNode* ExtentMap::Edit::resized(ExtentNode* node, unsigned capacity) {
  ExtentNode* copy = allocate(node->level, capacity);
  std::copy_n(entries<Entry>(node), node->count, entries<Entry>(copy));
  copy->count = node->count;
  discard(node);
  return copy;
}

bool ExtentMap::Edit::is_own(const ExtentNode* node) const { return node->number == number_; }

ExtentNode* ExtentMap::Edit::allocate(unsigned level, unsigned capacity) {
  ExtentNode* node = make_node(level, capacity, number_);
  bytes_ += size_of(node);
  ++nodes_allocated_;
  return node;
}

void ExtentMap::Edit::discard(ExtentNode* node) {
  bytes_ -= size_of(node);
  if (is_own(node)) return free_node(node);
  node->next_replaced = std::exchange(replaced_, node);
}

/// Discards a node and all below; returns how many mappings it held.
uint64_t ExtentMap::Edit::discard_tree(ExtentNode* node) {
  uint64_t mappings = 0;
  if (node->level == 0) mappings = node->count;
  for (unsigned i = 0; node->level > 0 && i < node->count; ++i) mappings += discard_tree(entries<Child>(node)[i].node);
  discard(node);
  return mappings;
}

/// Frees those of our own nodes that were never published: they hang together at the top.
void ExtentMap::Edit::abandon(ExtentNode* node) {
  if (!is_own(node)) return;
  for (unsigned i = 0; node->level > 0 && i < node->count; ++i) abandon(entries<Child>(node)[i].node);
  free_node(node);
}

}  // namespace dmap
