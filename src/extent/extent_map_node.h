// SPDX-License-Identifier: Apache-2.0
//
// The nodes of an ExtentMap, for the files that implement it.
#ifndef DMAP_EXTENT_EXTENT_MAP_NODE_H_
#define DMAP_EXTENT_EXTENT_MAP_NODE_H_

#include <cstdint>
#include <new>

#include "base/bits.h"
#include "base/rcu.h"
#include "dmap/types.h"
#include "extent/extent_map.h"

namespace dmap {

/// A node's head; its entries follow: mappings in a leaf, children above. Unchanging once published, but for the union,
/// which only writers look at.
struct ExtentNode : RcuHead {
  union {
    uint64_t number;            // of the Edit that made it
    ExtentNode* next_replaced;  // once an Edit has replaced it
  };
  uint8_t level;  // 0: a leaf
  uint8_t count;
  uint8_t capacity;
};
static_assert(sizeof(ExtentNode) == 40);

namespace extent_map {

struct Child {
  uint64_t file_frame;  // the first that is mapped below (E3)
  ExtentNode* node;
};

template <typename Entry>
inline constexpr unsigned kEntriesMax = 1024 / sizeof(Entry);  // 32 mappings, 64 children

inline unsigned entries_max(const ExtentNode* node) {
  return node->level == 0 ? kEntriesMax<Mapping> : kEntriesMax<Child>;
}

template <typename Entry>
Entry* entries(ExtentNode* node) {
  return reinterpret_cast<Entry*>(node + 1);
}
template <typename Entry>
const Entry* entries(const ExtentNode* node) {
  return reinterpret_cast<const Entry*>(node + 1);
}

/// The last entry that starts at or before `file_frame`; 0 if none does. Has no branch to mispredict.
template <typename Entry>
unsigned position(const ExtentNode* node, uint64_t file_frame) {
  const Entry* base = entries<Entry>(node);
  const Entry* found = base;
  for (unsigned left = node->count; left > 1;) {
    unsigned half = left / 2;
    found = found[half].file_frame <= file_frame ? found + half : found;
    left -= half;
  }
  return static_cast<unsigned>(found - base);
}

/// The first entry that starts at or after `file_frame`; count if none does.
template <typename Entry>
unsigned lower_bound(const ExtentNode* node, uint64_t file_frame) {
  unsigned at = position<Entry>(node, file_frame);
  return entries<Entry>(node)[at].file_frame < file_frame ? at + 1 : at;
}

inline uint64_t first_frame(const ExtentNode* node) {
  return node->level == 0 ? entries<Mapping>(node)->file_frame : entries<Child>(node)->file_frame;
}
inline Child child_of(ExtentNode* node) { return {first_frame(node), node}; }

/// Whether `next` merely continues `mapping` (E2).
inline bool continues(const Mapping& mapping, const Mapping& next) {
  return mapping.end() == next.file_frame && mapping.pfn + FrameCount{mapping.frames} == next.pfn &&
         device_of(mapping.pfn) == device_of(next.pfn) && mapping.birth == next.birth &&
         mapping.written == next.written;
}

inline bool is_within_a_file(const Mapping& mapping) {
  return mapping.frames > 0 && mapping.file_frame < kFileFrames && mapping.frames <= kFileFrames - mapping.file_frame;
}

/// Room for `count` entries: exact for small files, else a little is left over.
inline unsigned capacity_for(unsigned count) { return count <= 4 ? count : static_cast<unsigned>(round_up(count, 4)); }

inline uint64_t size_of(const ExtentNode* node) {
  return sizeof(ExtentNode) + node->capacity * (node->level == 0 ? sizeof(Mapping) : sizeof(Child));
}

inline ExtentNode* make_node(unsigned level, unsigned capacity, uint64_t number) {
  void* memory = ::operator new(sizeof(ExtentNode) + capacity * (level == 0 ? sizeof(Mapping) : sizeof(Child)));
  auto* node = new (memory) ExtentNode;
  node->number = number;
  node->level = static_cast<uint8_t>(level);
  node->count = 0;
  node->capacity = static_cast<uint8_t>(capacity);
  return node;
}

inline void free_node(ExtentNode* node) { ::operator delete(node); }

inline void free_tree(ExtentNode* node) {
  if (node == nullptr) return;
  if (node->level > 0) {
    for (unsigned i = 0; i < node->count; ++i) free_tree(entries<Child>(node)[i].node);
  }
  free_node(node);
}

}  // namespace extent_map
}  // namespace dmap

#endif  // DMAP_EXTENT_EXTENT_MAP_NODE_H_
