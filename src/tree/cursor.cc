// SPDX-License-Identifier: Apache-2.0
#include "tree/cursor.h"

namespace dmap {

Result<bool> Cursor::seek_ge(Key key) {
  on_entry_ = false;
  if (tree_->root_.height == 0) return false;
  DMAP_TRY(tree_->descend(key, path_));
  return settle(Way::kForward);
}

Result<bool> Cursor::seek_le(Key key) {
  bool found = DMAP_TRY(seek_ge(key));
  if (found && key_ == key) return true;
  on_entry_ = false;
  if (tree_->root_.height == 0) return false;
  if (!found) DMAP_TRY(tree_->descend(key, path_));  // all entries are below: back to the last leaf
  --path_[0].index;
  return settle(Way::kBackward);
}

Result<bool> Cursor::next() {
  CHECK(on_entry_);
  on_entry_ = false;
  ++path_[0].index;
  return settle(Way::kForward);
}

Result<bool> Cursor::prev() {
  CHECK(on_entry_);
  on_entry_ = false;
  --path_[0].index;
  return settle(Way::kBackward);
}

/// Stands on the entry that path_[0] points at. If it points past its leaf's end, or before its beginning (an index
/// that wrapped around), goes on to the next leaf that way.
Result<bool> Cursor::settle(Way way) {
  while (path_[0].index >= path_[0].node->entries()) {
    unsigned level = 1;
    for (;; ++level) {
      if (level >= tree_->root_.height) return false;
      path_[level].index += way == Way::kForward ? size_t{1} : ~size_t{0};
      if (path_[level].index < path_[level].node->children()) break;
    }
    while (level > 0) DMAP_TRY(enter(--level, way));
  }
  const Tree::Step& step = path_[0];
  value_ = DMAP_TRY(tree_->value_of(step));
  key_ = step.node->keys()[step.index];
  on_entry_ = true;
  return true;
}

/// Goes down to `level` from the child that the level above points at, to that node's first or last entry.
Result<void> Cursor::enter(unsigned level, Way way) {
  const Tree::Step& parent = path_[level + 1];
  Tree::Step& step = path_[level];
  step.range = range_of_child(*parent.node, parent.index, parent.range);
  step.child = parent.node->child_words()[parent.index];
  step.node = DMAP_TRY(tree_->node(step.child, level, step.range));
  size_t count = level > 0 ? step.node->children() : step.node->entries();
  if (count == 0) {
    Expected expected{.volume = tree_->volume_, .child = step.child, .level = level, .range = step.range};
    return std::unexpected(corrupt_node(expected, "it lost its entries since it was verified"));
  }
  step.index = way == Way::kForward ? 0 : count - 1;
  return {};
}

}  // namespace dmap
