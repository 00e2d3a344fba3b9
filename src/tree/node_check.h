// SPDX-License-Identifier: Apache-2.0
//
// What makes 4 KiB a node of this tree: asked of every node when it is first met, and by check.
#ifndef DMAP_TREE_NODE_CHECK_H_
#define DMAP_TREE_NODE_CHECK_H_

#include <string>

#include "dmap/result.h"
#include "tree/node.h"

namespace dmap {

inline constexpr unsigned kHeightMax = 12;

/// What is known about a node before it is read.
struct Expected {
  uint64_t volume = 0;
  Child child;
  unsigned level = 0;
  KeyRange range;
};

/// The checksum that belongs into the node's header.
uint32_t node_crc(const Node& node);

/// What contradicts the layout in node.h, or is not as expected, in words; null if all is well. Does not look at the
/// checksum. Reads within the frame only, whatever its bytes are; a node without a fault may be changed.
const char* node_fault(const Node& node, const Expected& expected);
/// node_fault(), and the checksum. The right question for a node that was read from a device.
const char* stored_node_fault(const Node& node, const Expected& expected);

/// `read node 1:77: corrupt (level 0, keys 1/2/3 to 4/5/6: the checksum is wrong)`.
Error corrupt_node(const Expected& expected, const char* fault);
/// `device:frame`, for messages.
std::string to_string(Pfn pfn);

}  // namespace dmap

#endif  // DMAP_TREE_NODE_CHECK_H_
