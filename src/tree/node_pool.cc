// SPDX-License-Identifier: Apache-2.0
#include "tree/node_pool.h"

#include <sanitizer/asan_interface.h>
#include <sys/mman.h>

#include <cstdlib>
#include <utility>

#include "base/bits.h"

namespace dmap {
namespace {

constexpr size_t kBlockSize = size_t{2} << 20;
constexpr size_t kBlockNodes = kBlockSize / kNodeSize;

}  // namespace

/// Lives in the first frame of its block; the other 511 are nodes.
struct NodePool::Block {
  size_t index;  // within blocks_
  uint32_t used;
  uint32_t free_count;
  uint16_t free[kBlockNodes];  // a stack of the numbers of free nodes
  uint32_t tag[kBlockNodes];

  Node* node(size_t number) { return reinterpret_cast<Node*>(this) + number; }
};

NodePool::~NodePool() {
  for (Block* block : blocks_) {
    ASAN_UNPOISON_MEMORY_REGION(block, kBlockSize);
    std::free(block);
  }
}

NodePool::Block* NodePool::block_of(Node* node) {
  static_assert(sizeof(Block) <= kNodeSize);
  return reinterpret_cast<Block*>(round_down(reinterpret_cast<uintptr_t>(node), kBlockSize));
}

uint32_t& NodePool::tag(Node* node) {
  Block* block = block_of(node);
  return block->tag[node - block->node(0)];
}

size_t NodePool::bytes() const { return blocks_.size() * kBlockSize; }

void NodePool::swap(size_t a, size_t b) {
  std::swap(blocks_[a], blocks_[b]);
  std::swap(blocks_[a]->index, blocks_[b]->index);
}

Node* NodePool::allocate() {
  if (with_room_ == 0) {
    void* memory = std::aligned_alloc(kBlockSize, kBlockSize);
    if (memory == nullptr) return nullptr;
    madvise(memory, kBlockSize, MADV_HUGEPAGE);  // a random find is bound by TLB misses; a refusal costs only speed
    auto* block = new (memory) Block{.index = blocks_.size(), .used = 0, .free_count = 0, .free = {}, .tag = {}};
    for (size_t number = kBlockNodes - 1; number > 0; --number) {
      block->free[block->free_count++] = static_cast<uint16_t>(number);
    }
    ASAN_POISON_MEMORY_REGION(block->node(1), kBlockSize - kNodeSize);
    blocks_.push_back(block);
    swap(with_room_++, block->index);
    ++empty_;
  }
  Block* block = blocks_[with_room_ - 1];
  if (block->used++ == 0) --empty_;
  Node* node = block->node(block->free[--block->free_count]);
  if (block->free_count == 0) --with_room_;
  ASAN_UNPOISON_MEMORY_REGION(node, kNodeSize);
  return node;
}

void NodePool::release(Node* node) {
  Block* block = block_of(node);
  ASAN_POISON_MEMORY_REGION(node, kNodeSize);
  if (block->free_count == 0) swap(with_room_++, block->index);
  block->free[block->free_count++] = static_cast<uint16_t>(node - block->node(0));
  if (--block->used > 0) return;
  if (empty_ == 0) {
    ++empty_;
    return;
  }
  swap(block->index, --with_room_);
  swap(block->index, blocks_.size() - 1);
  blocks_.pop_back();
  ASAN_UNPOISON_MEMORY_REGION(block, kBlockSize);
  std::free(block);
}

}  // namespace dmap
