// SPDX-License-Identifier: Apache-2.0
#include "tree/node_check.h"

#include "base/crc32c.h"

namespace dmap {
namespace {

const char* keys_fault(const Key* keys, size_t count, const KeyRange& range) {
  for (size_t i = 1; i < count; ++i) {
    if (keys[i] <= keys[i - 1]) return "its keys are not ascending";
  }
  if (!range.contains(keys[0]) || !range.contains(keys[count - 1])) return "its keys are not its parent's";
  return nullptr;
}

const char* leaf_fault(const Node& leaf, const KeyRange& range) {
  const NodeHeader& header = leaf.header;
  if (header.count == 0 || header.count > kEntriesMax) return "its count cannot be true";
  if (header.heap < sizeof(NodeHeader) + header.count * kEntryOverhead) return "its heap overlaps its slots";
  if (header.heap > kNodeSize) return "its heap begins outside of it";
  size_t used = 0;
  for (size_t i = 0; i < header.count; ++i) {
    ValueSlot slot = leaf.slots()[i];
    if (slot.offset < header.heap || slot.end() > kNodeSize) return "a value lies outside of its heap";
    if (slot.length > kValueMax) return "a value is too long";
    used += slot.length;
  }
  if (used + header.garbage != kNodeSize - header.heap) return "its heap does not add up";
  return keys_fault(leaf.keys(), header.count, range);
}

const char* inner_fault(const Node& inner, const KeyRange& range) {
  const NodeHeader& header = inner.header;
  if (header.count == 0 || header.count > kChildrenMax) return "its count cannot be true";
  if (header.heap != 0 || header.garbage != 0) return "it has a heap, as only a leaf may";
  for (size_t i = 0; i < header.count; ++i) {
    if (inner.child_words()[i].generation > header.generation) return "a child is younger than it";
  }
  return keys_fault(inner.keys(), header.count, range);
}

}  // namespace

uint32_t node_crc(const Node& node) {
  return crc32c({node.bytes() + sizeof(NodeHeader::crc), kNodeSize - sizeof(NodeHeader::crc)});
}

const char* node_fault(const Node& node, const Expected& expected) {
  const NodeHeader& header = node.header;
  if (header.magic != (expected.level == 0 ? kLeafMagic : kInnerMagic)) return "it is no node of this type";
  if (header.volume != expected.volume) return "it is of another volume";
  if (header.pfn != expected.child.pfn) return "it says it lives elsewhere";
  if (header.generation != expected.child.generation) return "it is of another generation than its parent says";
  if (header.level != expected.level) return "it is of another level";
  if (header.zeros[0] != 0 || header.zeros[1] != 0 || header.zeros[2] != 0) return "its reserved bytes are not zero";
  return expected.level == 0 ? leaf_fault(node, expected.range) : inner_fault(node, expected.range);
}

const char* stored_node_fault(const Node& node, const Expected& expected) {
  return node.header.crc == node_crc(node) ? node_fault(node, expected) : "its checksum is wrong";
}

Error corrupt_node(const Expected& expected, const char* fault) {
  return Error(Code::kCorrupt, "read node", to_string(expected.child.pfn),
               "level " + std::to_string(expected.level) + ", generation " + std::to_string(expected.child.generation) +
                   ", keys " + to_string(expected.range.first) + " to " + to_string(expected.range.last) + ": " +
                   fault);
}

std::string to_string(Pfn pfn) {
  return std::to_string(static_cast<unsigned>(device_of(pfn))) + ":" + std::to_string(index_of(pfn));
}

}  // namespace dmap
