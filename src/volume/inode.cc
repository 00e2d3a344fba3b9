// SPDX-License-Identifier: Apache-2.0
#include "volume/inode.h"

#include <algorithm>

#include "base/check.h"
#include "volume/core.h"

namespace dmap {

Inode::Inode(VolumeCore& owner, InodeNumber inode_number, const InodeRecord& found)
    : core(owner),
      number(inode_number),
      type(found.type),
      refs(1),
      record(found),
      size(found.size),
      accessed_ns(found.accessed.nanoseconds),
      modified_ns(found.modified.nanoseconds),
      changed_ns(found.changed.nanoseconds) {}

Inode::~Inode() { delete tiny.load(std::memory_order_relaxed); }  // relaxed: nobody else is left

void Inode::show_tiny(std::unique_ptr<InlineData> bytes) {
  // release: the bytes; pairs with the acquire of readers
  InlineData* old = tiny.exchange(bytes.release(), std::memory_order_acq_rel);
  if (old != nullptr) rcu_delete(old);
}

bool Inode::try_evict() {
  // relaxed: a user who lets go after this look is met by try_kill(), or by the second look
  if (times_dirty.load(std::memory_order_relaxed) || nameless.load(std::memory_order_relaxed)) return false;
  if (!refs.try_kill()) return false;
  // Its last user may have set times since; try_kill() has acquired what users did. (One who took away its last name
  // has queued it, and it is found in the tree.)
  if (!times_dirty.load(std::memory_order_relaxed)) return true;
  refs.spare();
  return false;
}

void InodeRef::let_go(Inode& inode) { inode.core.let_go(inode); }

InodeLocks::InodeLocks(std::initializer_list<Inode*> inodes) NO_THREAD_SAFETY_ANALYSIS {
  CHECK(inodes.size() <= inodes_.size());
  auto end = std::ranges::copy_if(inodes, inodes_.begin(), [](Inode* inode) { return inode != nullptr; }).out;
  std::ranges::sort(inodes_.begin(), end, {}, &Inode::number);
  std::fill(std::unique(inodes_.begin(), end), inodes_.end(), nullptr);
  for (Inode* inode : inodes_) {
    if (inode != nullptr) inode->mutex.lock();
  }
}

InodeLocks::~InodeLocks() NO_THREAD_SAFETY_ANALYSIS {
  for (Inode* inode : inodes_) {
    if (inode != nullptr) inode->mutex.unlock();
  }
}

}  // namespace dmap
