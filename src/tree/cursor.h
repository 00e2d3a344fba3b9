// SPDX-License-Identifier: Apache-2.0
//
// A place in the tree, for reading its entries in order.
#ifndef DMAP_TREE_CURSOR_H_
#define DMAP_TREE_CURSOR_H_

#include "tree/tree.h"

namespace dmap {

/// Stands on an entry, or on none. Valid until the tree changes or the lock is given up; seek anew after that. Every
/// move returns whether it stands on an entry now; after an error (kCorrupt) it stands on none. Whatever the bytes on
/// the device are, a move ends. Copies are cursors of their own.
class Cursor {
 public:
  explicit Cursor(const Tree& tree) : tree_(&tree) {}

  /// To the first entry not below `key`.
  Result<bool> seek_ge(Key key);
  /// To the last entry not above `key`.
  Result<bool> seek_le(Key key);
  /// To the entry after or before this one; the cursor stands on one.
  Result<bool> next();
  Result<bool> prev();

  bool is_on_entry() const { return on_entry_; }
  Key key() const {
    CHECK(on_entry_);
    return key_;
  }
  Value value() const {
    CHECK(on_entry_);
    return value_;
  }

 private:
  enum class Way { kForward, kBackward };
  Result<bool> settle(Way way);
  Result<void> enter(unsigned level, Way way);

  const Tree* tree_;
  Tree::Path path_;
  bool on_entry_ = false;
  Key key_;
  Value value_;
};

}  // namespace dmap

#endif  // DMAP_TREE_CURSOR_H_
