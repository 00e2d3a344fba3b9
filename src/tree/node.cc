// SPDX-License-Identifier: Apache-2.0
#include "tree/node.h"

#include <cstring>

namespace dmap {
namespace {

size_t gap(const Node& leaf) { return leaf.header.heap - sizeof(NodeHeader) - leaf.header.count * kEntryOverhead; }

template <typename T>
void move_items(T* to, const T* from, size_t count) {
  std::memmove(to, from, count * sizeof(T));
}

/// Puts the bytes at the heap's low end and returns where.
ValueSlot push_value(Node& leaf, Value value) {
  leaf.header.heap = static_cast<uint16_t>(leaf.header.heap - value.size());
  if (!value.empty()) std::memcpy(leaf.bytes() + leaf.header.heap, value.data(), value.size());
  return {.offset = leaf.header.heap, .length = static_cast<uint16_t>(value.size())};
}

/// Closes the holes in the heap.
void compact(Node& leaf) {
  Node old = leaf;
  leaf.header.heap = kNodeSize;
  leaf.header.garbage = 0;
  for (size_t i = 0; i < leaf.header.count; ++i) leaf.slots()[i] = push_value(leaf, old.value(old.slots()[i]));
}

void make_room(Node& leaf, size_t bytes) {
  if (gap(leaf) < bytes) compact(leaf);
  CHECK(gap(leaf) >= bytes);
}

/// Makes room for `count` children before those of `inner`, which began at `separator`.
void open_front(Node& inner, size_t count, Key separator) {
  if (inner.header.count > 0) inner.keys()[0] = separator;
  move_items(inner.keys() + count, inner.keys(), inner.header.count);
  move_items(inner.child_words() + count, inner.child_words(), inner.header.count);
  inner.header.count = static_cast<uint16_t>(inner.header.count + count);
}

}  // namespace

void init_node(Node& node, uint64_t volume, Child self, unsigned level) {
  std::memset(static_cast<void*>(&node), 0, sizeof(node));
  node.header.magic = level == 0 ? kLeafMagic : kInnerMagic;
  node.header.volume = volume;
  node.header.pfn = self.pfn;
  node.header.generation = self.generation;
  node.header.level = static_cast<uint16_t>(level);
  node.header.heap = level == 0 ? kNodeSize : 0;
}

void copy_node(Node& copy, const Node& node, Child self) {
  constexpr size_t kAfterCrc = sizeof(NodeHeader::crc);
  std::memcpy(copy.bytes() + kAfterCrc, node.bytes() + kAfterCrc, kNodeSize - kAfterCrc);
  copy.header.pfn = self.pfn;
  copy.header.generation = self.generation;
}

size_t leaf_bytes(const Node& leaf) {
  return leaf.header.count * kEntryOverhead + kNodeSize - leaf.header.heap - leaf.header.garbage;
}

void leaf_insert(Node& leaf, size_t index, const Entry& entry) {
  make_room(leaf, entry.size());
  size_t count = leaf.header.count;
  Key* keys = leaf.keys();
  ValueSlot* slots = leaf.slots();
  auto* moved =
      reinterpret_cast<ValueSlot*>(keys + count + 1);  // the slots follow the keys, of which there is one more
  move_items(moved + index + 1, slots + index, count - index);
  move_items(moved, slots, index);
  move_items(keys + index + 1, keys + index, count - index);
  keys[index] = entry.key;
  leaf.header.count = static_cast<uint16_t>(count + 1);
  leaf.slots()[index] = push_value(leaf, entry.value);
}

void leaf_replace(Node& leaf, size_t index, Value value) {
  ValueSlot& slot = leaf.slots()[index];
  if (slot.length == value.size()) {
    if (!value.empty()) std::memcpy(leaf.bytes() + slot.offset, value.data(), value.size());
    return;
  }
  leaf.header.garbage = static_cast<uint16_t>(leaf.header.garbage + slot.length);
  slot.length = 0;
  make_room(leaf, value.size());
  slot = push_value(leaf, value);
}

void leaf_erase(Node& leaf, size_t index) {
  size_t count = leaf.header.count;
  Key* keys = leaf.keys();
  ValueSlot* slots = leaf.slots();
  leaf.header.garbage = static_cast<uint16_t>(leaf.header.garbage + slots[index].length);
  auto* moved = reinterpret_cast<ValueSlot*>(keys + count - 1);
  move_items(keys + index, keys + index + 1, count - index - 1);
  move_items(moved, slots, index);
  move_items(moved + index, slots + index + 1, count - index - 1);
  leaf.header.count = static_cast<uint16_t>(count - 1);
}

void leaf_fill(Node& leaf, std::span<const Entry> entries) {
  leaf.header.count = static_cast<uint16_t>(entries.size());
  leaf.header.heap = kNodeSize;
  leaf.header.garbage = 0;
  for (size_t i = 0; i < entries.size(); ++i) {
    leaf.keys()[i] = entries[i].key;
    leaf.slots()[i] = push_value(leaf, entries[i].value);
  }
}

void leaf_truncate(Node& leaf, size_t count) {
  size_t dead = 0;
  for (size_t i = count; i < leaf.header.count; ++i) dead += leaf.slots()[i].length;
  move_items(reinterpret_cast<ValueSlot*>(leaf.keys() + count), leaf.slots(), count);
  leaf.header.count = static_cast<uint16_t>(count);
  leaf.header.garbage = static_cast<uint16_t>(leaf.header.garbage + dead);
}

void inner_insert(Node& inner, size_t index, Key key, Child child) {
  size_t count = inner.header.count;
  CHECK(count < kChildrenMax);
  move_items(inner.keys() + index + 1, inner.keys() + index, count - index);
  move_items(inner.child_words() + index + 1, inner.child_words() + index, count - index);
  inner.keys()[index] = key;
  inner.child_words()[index] = child;
  inner.header.count = static_cast<uint16_t>(count + 1);
}

void inner_erase(Node& inner, size_t index) {
  size_t after = inner.header.count - index - 1;
  move_items(inner.keys() + index, inner.keys() + index + 1, after);
  move_items(inner.child_words() + index, inner.child_words() + index + 1, after);
  inner.header.count = static_cast<uint16_t>(inner.header.count - 1);
}

void inner_move_right(Node& left, Node& right, size_t count, Key separator) {
  size_t kept = left.header.count - count;
  open_front(right, count, separator);
  move_items(right.keys(), left.keys() + kept, count);
  move_items(right.child_words(), left.child_words() + kept, count);
  left.header.count = static_cast<uint16_t>(kept);
}

void inner_move_left(Node& left, Node& right, size_t count, Key separator) {
  size_t kept = right.header.count - count;
  right.keys()[0] = separator;
  move_items(left.keys() + left.header.count, right.keys(), count);
  move_items(left.child_words() + left.header.count, right.child_words(), count);
  move_items(right.keys(), right.keys() + count, kept);
  move_items(right.child_words(), right.child_words() + count, kept);
  left.header.count = static_cast<uint16_t>(left.header.count + count);
  right.header.count = static_cast<uint16_t>(kept);
}

void inner_append(Node& left, const Node& right, Key separator) {
  size_t count = left.header.count;
  move_items(left.keys() + count, right.keys(), right.header.count);
  move_items(left.child_words() + count, right.child_words(), right.header.count);
  left.keys()[count] = separator;
  left.header.count = static_cast<uint16_t>(count + right.header.count);
}

void inner_prepend(const Node& left, Node& right, Key separator) {
  size_t count = left.header.count;
  open_front(right, count, separator);
  move_items(right.keys(), left.keys(), count);
  move_items(right.child_words(), left.child_words(), count);
}

}  // namespace dmap
