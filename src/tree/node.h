// SPDX-License-Identifier: Apache-2.0
//
// A node of the tree: one 4 KiB frame. Everything is little-endian; offsets are in bytes from the frame's start.
//
//   header, 64 bytes
//      0  u32  crc         CRC-32C of bytes [4, 4096)
//      4  u32  magic       "DMLF" for a leaf, "DMIN" for an inner node
//      8  u64  volume      the volume's tag: a node of another volume is no node of this one
//     16  u64  pfn         where this node lives
//     24  u64  generation  of the checkpoint this node was born for; its parent repeats it
//     32  u16  count       entries: 1..201 in a leaf, 1..126 in an inner node
//     34  u16  level       0 for a leaf; a child's level is its parent's less one
//     36  u16  heap        leaf: where its heap begins (heap..4096); inner: 0
//     38  u16  garbage     leaf: bytes of the heap that no value uses; inner: 0
//     40  24 bytes of zeros
//
//   leaf (level 0)
//     64                    count keys of 16 bytes {u64 object, u64 place}, strictly ascending
//     64 + 16 * count       count value slots of 4 bytes {u16 offset, u16 length}: value i is bytes [offset, offset +
//     length),
//                           at most 1200 of them, within the heap
//     heap                  the values, in any order, up to the frame's end; 4096 - heap == all lengths + garbage
//
//   inner node
//     64                    room for 126 keys of 16 bytes, `count` in use, strictly ascending
//     2080                  room for 126 children of 16 bytes {u64 pfn, u64 generation}, `count` in use
//
// Child i holds the keys [key i, key i+1). The first key of a node is only a memory of where it once began: its child 0
// holds everything from the node's own lower bound, which the parent knows (the root's is the lowest key there is).
#ifndef DMAP_TREE_NODE_H_
#define DMAP_TREE_NODE_H_

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "dmap/types.h"
#include "tree/key.h"

namespace dmap {

static_assert(std::endian::native == std::endian::little, "nodes are used in place");

struct NodeHeader {
  uint32_t crc;
  uint32_t magic;
  uint64_t volume;
  Pfn pfn;
  uint64_t generation;
  uint16_t count;
  uint16_t level;
  uint16_t heap;
  uint16_t garbage;
  uint64_t zeros[3];
};
static_assert(sizeof(NodeHeader) == 64);

/// Where a value lies within its leaf.
struct ValueSlot {
  uint16_t offset;
  uint16_t length;

  constexpr unsigned end() const { return unsigned{offset} + length; }
};
static_assert(sizeof(ValueSlot) == 4);

/// A parent's word on a child: where it is, and which of the nodes that ever lived there.
struct Child {
  Pfn pfn{};
  uint64_t generation = 0;
};
static_assert(sizeof(Child) == 16);

inline constexpr uint32_t kLeafMagic = 0x464c4d44;
inline constexpr uint32_t kInnerMagic = 0x4e494d44;
inline constexpr size_t kNodeSize = kFrameSize.value;
inline constexpr size_t kNodeBody = kNodeSize - sizeof(NodeHeader);
/// What an entry takes in a leaf besides its value.
inline constexpr size_t kEntryOverhead = sizeof(Key) + sizeof(ValueSlot);
inline constexpr size_t kEntriesMax = kNodeBody / kEntryOverhead;
inline constexpr size_t kChildrenMax = kNodeBody / (sizeof(Key) + sizeof(Child));
static_assert(kEntriesMax == 201 && kChildrenMax == 126);
/// Below these a node is joined with a sibling when something is erased from it.
inline constexpr size_t kLeafBytesMin = kNodeBody / 3;
inline constexpr size_t kChildrenMin = kChildrenMax / 3;
/// A split leaves two leaves that both fit and neither is empty: half of what is too much, give or take one entry.
static_assert((kNodeBody + kEntryOverhead + kValueMax) / 2 + kEntryOverhead + kValueMax <= kNodeBody);

/// A frame seen as a node. Counts are clamped to what fits a frame, so no key, slot or child that a caller reaches
/// through them lies outside it, whatever the bytes are.
struct Node {
  NodeHeader header;
  std::byte body[kNodeBody];

  const std::byte* bytes() const { return reinterpret_cast<const std::byte*>(this); }
  std::byte* bytes() { return reinterpret_cast<std::byte*>(this); }

  size_t entries() const { return std::min<size_t>(header.count, kEntriesMax); }
  size_t children() const { return std::min<size_t>(header.count, kChildrenMax); }
  const Key* keys() const { return reinterpret_cast<const Key*>(body); }
  Key* keys() { return reinterpret_cast<Key*>(body); }
  const ValueSlot* slots() const { return reinterpret_cast<const ValueSlot*>(keys() + entries()); }
  ValueSlot* slots() { return reinterpret_cast<ValueSlot*>(keys() + entries()); }
  const Child* child_words() const { return reinterpret_cast<const Child*>(keys() + kChildrenMax); }
  Child* child_words() { return reinterpret_cast<Child*>(keys() + kChildrenMax); }

  /// The bytes of a slot that is_within() its frame.
  Value value(ValueSlot slot) const { return {bytes() + slot.offset, slot.length}; }
};
static_assert(sizeof(Node) == kNodeSize && offsetof(Node, body) == 64);

constexpr bool is_within_node(ValueSlot slot) { return slot.end() <= kNodeSize; }

/// The index of the first of `count` ascending keys that is not below `key`; `count` if all are.
inline size_t lower_bound(const Key* keys, size_t count, Key key) {
  const Key* base = keys;
  while (count > 1) {
    size_t half = count / 2;
    if (base[half - 1] < key) base += half;  // a branch: it lets the next load start before this one came from memory
    count -= half;
  }
  return static_cast<size_t>(base - keys) + static_cast<size_t>(count == 1 && *base < key);
}

/// The index of the child of an inner node that holds `key`.
inline size_t child_of(const Node& node, Key key) {
  size_t after = node.children() > 1 ? lower_bound(node.keys() + 1, node.children() - 1, key) + 1 : 1;
  return after < node.children() && node.keys()[after] == key ? after : after - 1;
}

/// The keys that child `index` of an inner node holds, the node itself holding `range`.
inline KeyRange range_of_child(const Node& node, size_t index, const KeyRange& range) {
  return {.first = index == 0 ? range.first : node.keys()[index],
          .last = index + 1 < node.children() ? key_before(node.keys()[index + 1]) : range.last};
}

// Changes of one node in RAM. They trust it (see node_fault()), and that there is room.

/// An entry of a leaf, outside of it.
struct Entry {
  Key key;
  Value value;

  size_t size() const { return kEntryOverhead + value.size(); }
};

/// Makes an empty node. The frame's old bytes are gone.
void init_node(Node& node, uint64_t volume, Child self, unsigned level);
/// Makes `copy` the same as `node`, under its own name. The checksum is not copied (see Frozen): it is made when
/// written.
void copy_node(Node& copy, const Node& node, Child self);

/// Bytes of the body in use, entries and values.
size_t leaf_bytes(const Node& leaf);
void leaf_insert(Node& leaf, size_t index, const Entry& entry);
void leaf_replace(Node& leaf, size_t index, Value value);
void leaf_erase(Node& leaf, size_t index);
/// Replaces all entries; none of them may lie in `leaf` itself.
void leaf_fill(Node& leaf, std::span<const Entry> entries);
/// Drops the entries from `count` on.
void leaf_truncate(Node& leaf, size_t count);

void inner_insert(Node& inner, size_t index, Key key, Child child);
void inner_erase(Node& inner, size_t index);
/// Moves the last `count` children of `left` to the front of `right`, whose first key becomes what `separator` said.
void inner_move_right(Node& left, Node& right, size_t count, Key separator);
/// Moves the first `count` children of `right` to the end of `left`; `separator` is where `right` began.
void inner_move_left(Node& left, Node& right, size_t count, Key separator);
/// Appends all children of `right`, which is only read; `separator` is where it began.
void inner_append(Node& left, const Node& right, Key separator);
/// Puts all children of `left`, which is only read, before those of `right`; `separator` is where that began.
void inner_prepend(const Node& left, Node& right, Key separator);

}  // namespace dmap

#endif  // DMAP_TREE_NODE_H_
