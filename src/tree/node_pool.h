// SPDX-License-Identifier: Apache-2.0
//
// RAM for changed nodes: frames cut from 2 MiB blocks, each with a number that the tree keeps beside it.
#ifndef DMAP_TREE_NODE_POOL_H_
#define DMAP_TREE_NODE_POOL_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tree/node.h"

namespace dmap {

/// Hands out 4 KiB-aligned nodes with undefined bytes. Not thread-safe. Memory goes back to the system by the block,
/// when all of its nodes are free; one empty block is kept. Dying frees everything, handed out or not.
class NodePool {
 public:
  NodePool() = default;
  NodePool(const NodePool&) = delete;
  NodePool& operator=(const NodePool&) = delete;
  ~NodePool();

  /// Null if there is no memory.
  Node* allocate();
  void release(Node* node);

  /// The number beside a node that was handed out.
  static uint32_t& tag(Node* node);

  size_t bytes() const;

 private:
  struct Block;
  static Block* block_of(Node* node);

  std::vector<Block*> blocks_;  // those with free nodes first: blocks_[0 .. with_room_)
  size_t with_room_ = 0;
  size_t empty_ = 0;

  void swap(size_t a, size_t b);
};

}  // namespace dmap

#endif  // DMAP_TREE_NODE_POOL_H_
