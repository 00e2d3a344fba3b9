// SPDX-License-Identifier: Apache-2.0
//
// put() and erase(). Each first plans on what it finds and takes all frames it will need, copying the nodes on its path
// that may not be changed in place; only then it changes anything, and from there on nothing can fail.
#include "tree/cursor.h"
#include "tree/tree.h"

namespace dmap {
namespace {

constexpr size_t kFreshMax = 2 * kHeightMax + 1;

/// Entries in order, outside of any leaf: those of two leaves, or of one and a new one.
class EntryList {
 public:
  void append(const Entry& entry) { entries_[count_++] = entry; }
  void append(const Node& leaf, size_t first, size_t last) {
    for (size_t i = first; i < last; ++i) append({leaf.keys()[i], leaf.value(leaf.slots()[i])});
  }
  void append(const Node& leaf) { append(leaf, 0, leaf.entries()); }
  std::span<const Entry> all() const { return {entries_.data(), count_}; }

  /// Where to cut so that both parts are about the same size in bytes.
  size_t middle() const {
    size_t total = 0;
    for (const Entry& entry : all()) total += entry.size();
    size_t index = 0;
    for (size_t before = 0; before < total / 2; ++index) before += entries_[index].size();
    return index;
  }

 private:
  std::array<Entry, 2 * kEntriesMax> entries_;
  size_t count_ = 0;
};

}  // namespace

/// The nodes of one change: new ones, taken beforehand, and the path, of which it copies what is not dirty.
/// Dying gives back what was not used; before commit() nothing of the tree has changed.
class Tree::Change {
 public:
  Change(Tree& tree, const Path& path) : tree_(tree), path_(path) {}
  Change(const Change&) = delete;
  Change& operator=(const Change&) = delete;
  ~Change() {
    while (used_ < count_) give_back(fresh_[used_++]);
  }

  /// Takes what the change needs: `extra` new nodes, and copies of path nodes from `lowest` up, and of `sibling` if it
  /// is not null, which is beside the path node at `sibling_level`.
  Result<void> prepare(unsigned lowest, size_t extra, const Step* sibling = nullptr, unsigned sibling_level = 0) {
    lowest_ = lowest;
    copies_end_ = tree_.root_.height;
    while (copies_end_ > lowest && tree_.is_dirty(path_[copies_end_ - 1].child)) --copies_end_;
    bool copies_sibling = sibling != nullptr && !tree_.is_dirty(sibling->child);
    DMAP_TRY(take(copies_end_ - lowest + (copies_sibling ? 1 : 0) + extra));
    for (unsigned level = copies_end_; level-- > lowest;) {
      copies_[level] = DMAP_TRY(copy(path_[level], level));
    }
    if (copies_sibling) sibling_ = DMAP_TRY(copy(*sibling, sibling_level));
    return {};
  }

  /// Puts the copies in their originals' place. The path below `lowest` is left alone.
  void commit() {
    for (unsigned level = copies_end_; level-- > lowest_;) replace(level);
  }

  /// A node of the path that may be changed.
  Node& node(unsigned level) const {
    return level < copies_end_ ? *copies_[level] : *const_cast<Node*>(path_[level].node);  // in RAM, so not const
  }
  /// A new, empty node of the tree.
  Node& make(unsigned level) {
    Node* node = next();
    init_node(*node, tree_.volume_, self(*node), level);
    tree_.adopt(node);
    return *node;
  }
  /// The sibling given to prepare(), of which the parent keeps word at `index`, as one that may be changed.
  Node& sibling(const Step& step, Node& parent, size_t index) {
    if (sibling_ == nullptr) return *const_cast<Node*>(step.node);
    CHECK(next() == sibling_);
    tree_.adopt(sibling_);
    parent.child_words()[index] = self(*sibling_);
    tree_.retire(step.child.pfn);
    return *sibling_;
  }

  static Child self(const Node& node) { return {node.header.pfn, node.header.generation}; }

 private:
  Result<void> take(size_t count) {
    CHECK(count <= kFreshMax);
    while (count_ < count) {
      Node* node = tree_.pool_->allocate();
      if (node == nullptr) return fail(Code::kNoMemory, "change metadata", "node");
      auto pfn = tree_.frames_->allocate();
      if (!pfn) {
        tree_.pool_->release(node);
        return std::unexpected(std::move(pfn).error());
      }
      node->header.pfn = *pfn;
      node->header.generation = tree_.generation_;
      fresh_[count_++] = node;
    }
    return {};
  }
  void give_back(Node* node) {
    tree_.frames_->free(node->header.pfn);
    tree_.pool_->release(node);
  }
  Node* next() {
    CHECK(used_ < count_);
    return fresh_[used_++];
  }

  /// A copy, looked at once more: bytes on a device may have changed since they were verified, and from here on they
  /// are trusted.
  Result<Node*> copy(const Step& step, unsigned level) {
    Node* copy = fresh_[used_ + copied_++];
    Child fresh = self(*copy);
    copy_node(*copy, *step.node, fresh);
    Expected expected{.volume = tree_.volume_, .child = fresh, .level = level, .range = step.range};
    if (const char* fault = node_fault(*copy, expected)) {
      expected.child = step.child;
      return std::unexpected(corrupt_node(expected, fault));
    }
    return copy;
  }

  void replace(unsigned level) {
    Node* copy = copies_[level];
    CHECK(next() == copy);
    tree_.adopt(copy);
    if (level + 1 == tree_.root_.height) {
      tree_.root_.pfn = copy->header.pfn;
      tree_.root_.node_generation = copy->header.generation;
    } else {
      node(level + 1).child_words()[path_[level + 1].index] = self(*copy);
    }
    tree_.retire(path_[level].child.pfn);
  }

  Tree& tree_;
  const Path& path_;
  std::array<Node*, kFreshMax> fresh_;  // [0, count_) taken, [0, used_) of the tree; first the copies from the top down
  size_t count_ = 0;
  size_t used_ = 0;
  size_t copied_ = 0;
  std::array<Node*, kHeightMax> copies_;  // by level, in [lowest_, copies_end_)
  Node* sibling_ = nullptr;
  unsigned lowest_ = 0;
  unsigned copies_end_ = 0;  // path nodes from here up are dirty
};

Result<void> Tree::put(Key key, Value value) {
  if (value.size() > kValueMax) return fail(Code::kTooBig, "put", to_string(key), "values are of up to 1200 bytes");
  Entry entry{.key = key, .value = value};
  Path path;
  Change change(*this, path);
  if (root_.height == 0) {
    DMAP_TRY(change.prepare(0, 1));
    Node& leaf = change.make(0);
    leaf_insert(leaf, 0, entry);
    set_root(Change::self(leaf), 1);
    root_.entries = 1;
    return {};
  }
  DMAP_TRY(descend(key, path));
  const Node& found = *path[0].node;
  size_t index = path[0].index;
  bool replaces = index < found.entries() && found.keys()[index] == key;
  size_t replaced = replaces ? kEntryOverhead + found.slots()[index].length : 0;
  bool fits = leaf_bytes(found) - replaced + entry.size() <= kNodeBody;
  unsigned splits = 0;
  if (!fits) {
    for (splits = 1; splits < root_.height && path[splits].node->children() == kChildrenMax;) ++splits;
  }
  bool grows = splits == root_.height;
  if (grows && root_.height == kHeightMax) return fail(Code::kNoSpace, "put", to_string(key), "no tree is higher");
  DMAP_TRY(change.prepare(0, splits + (grows ? 1 : 0)));

  change.commit();
  Node& leaf = change.node(0);
  if (!fits) {
    split(change, path, entry, replaces ? index + 1 : index);
  } else if (replaces) {
    leaf_replace(leaf, index, value);
  } else {
    leaf_insert(leaf, index, entry);
  }
  root_.entries += replaces ? 0 : 1;
  return {};
}

/// Puts the entry into the path's leaf in place of the entries [path[0].index, after), of which there is one or none,
/// and splits the leaf, and above it whatever has no room for one child more.
void Tree::split(Change& change, const Path& path, const Entry& entry, size_t after) {
  Node& leaf = change.node(0);
  Node& new_leaf = change.make(0);
  if (path[0].index == leaf.entries()) {  // ascending keys leave full leaves behind
    leaf_insert(new_leaf, 0, entry);
  } else {
    Node old = leaf;
    EntryList list;
    list.append(old, 0, path[0].index);
    list.append(entry);
    list.append(old, after, old.entries());
    size_t middle = list.middle();
    leaf_fill(leaf, list.all().first(middle));
    leaf_fill(new_leaf, list.all().subspan(middle));
  }

  const Node* right = &new_leaf;
  for (unsigned level = 1; level < root_.height; ++level) {
    Node& inner = change.node(level);
    size_t index = path[level].index + 1;
    if (inner.header.count < kChildrenMax) {
      inner_insert(inner, index, right->keys()[0], Change::self(*right));
      return;
    }
    Node& new_inner = change.make(level);
    size_t kept = index == kChildrenMax ? kChildrenMax : kChildrenMax / 2;
    inner_move_right(inner, new_inner, kChildrenMax - kept, kKeyMin);
    bool goes_left = index < kept || (index == kept && kept < kChildrenMax);
    inner_insert(goes_left ? inner : new_inner, goes_left ? index : index - kept, right->keys()[0],
                 Change::self(*right));
    right = &new_inner;
  }
  Node& top = change.make(root_.height);
  inner_insert(top, 0, kKeyMin, root_child());
  inner_insert(top, 1, right->keys()[0], Change::self(*right));
  set_root(Change::self(top), root_.height + 1);
}

/// What follows when an entry goes, from the leaf up.
struct Tree::Repair {
  unsigned lowest = 0;                      // nodes below this level become empty and go
  unsigned merged_end = 0;                  // those in [lowest, merged_end) take in a sibling, which goes
  bool shares = false;                      // and the one at merged_end shares out its entries with its sibling
  std::array<Step, kHeightMax> siblings{};  // by level; `index` is the parent's
};

Result<Tree::Repair> Tree::plan_erase(const Path& path) const {
  Repair repair;
  while (repair.lowest < root_.height && path[repair.lowest].node->header.count == 1) ++repair.lowest;
  for (repair.merged_end = repair.lowest; repair.merged_end + 1 < root_.height; ++repair.merged_end) {
    unsigned level = repair.merged_end;
    const Step& step = path[level];
    size_t size = level > 0 ? step.node->children() - 1
                            : leaf_bytes(*step.node) - kEntryOverhead - step.node->slots()[step.index].length;
    const Step& parent = path[level + 1];
    if (size >= (level > 0 ? kChildrenMin : kLeafBytesMin) || parent.node->children() == 1) break;

    Step& sibling = repair.siblings[level];
    sibling.index = parent.index > 0 ? parent.index - 1 : 1;
    sibling.range = range_of_child(*parent.node, sibling.index, parent.range);
    sibling.child = parent.node->child_words()[sibling.index];
    sibling.node = DMAP_TRY(node(sibling.child, level, sibling.range));
    Expected expected{.volume = volume_, .child = sibling.child, .level = level, .range = sibling.range};
    if (const char* fault = node_fault(*sibling.node, expected)) return std::unexpected(corrupt_node(expected, fault));
    size += level > 0 ? sibling.node->children() : leaf_bytes(*sibling.node);
    repair.shares = size > (level > 0 ? kChildrenMax : kNodeBody);
    if (repair.shares) break;
  }
  return repair;
}

Result<bool> Tree::erase(Key key) {
  if (root_.height == 0) return false;
  Path path;
  DMAP_TRY(descend(key, path));
  const Node& found = *path[0].node;
  if (path[0].index == found.entries() || found.keys()[path[0].index] != key) return false;
  const Repair repair = DMAP_TRY(plan_erase(path));
  Change change(*this, path);
  unsigned shared = repair.merged_end;
  DMAP_TRY(change.prepare(repair.lowest, 0, repair.shares ? &repair.siblings[shared] : nullptr, shared));

  change.commit();
  --root_.entries;
  for (unsigned level = 0; level < repair.lowest; ++level) retire(path[level].child.pfn);
  if (repair.lowest == root_.height) {
    set_root({}, 0);
    return true;
  }
  Node& lowest = change.node(repair.lowest);
  repair.lowest == 0 ? leaf_erase(lowest, path[0].index) : inner_erase(lowest, path[repair.lowest].index);
  for (unsigned level = repair.lowest; level < repair.merged_end; ++level) {
    merge(change.node(level), change.node(level + 1), path[level + 1].index, repair.siblings[level]);
  }
  if (repair.shares) {
    Node& parent = change.node(shared + 1);
    Node& sibling = change.sibling(repair.siblings[shared], parent, repair.siblings[shared].index);
    size_t index = path[shared + 1].index;
    bool sibling_first = repair.siblings[shared].index < index;
    Node& node = change.node(shared);
    share(sibling_first ? sibling : node, sibling_first ? node : sibling,
          parent.keys()[sibling_first ? index : index + 1]);
  }
  lower_root();
  return true;
}

/// Moves all of a sibling into `node`, which the parent has at `index`.
void Tree::merge(Node& node, Node& parent, size_t index, const Step& sibling) {
  bool sibling_first = sibling.index < index;
  size_t right = sibling_first ? index : sibling.index;
  Key separator = parent.keys()[right];
  if (node.header.level == 0) {
    Node old = node;
    EntryList list;
    list.append(sibling_first ? *sibling.node : old);
    list.append(sibling_first ? old : *sibling.node);
    leaf_fill(node, list.all());
  } else if (sibling_first) {
    inner_prepend(*sibling.node, node, separator);
  } else {
    inner_append(node, *sibling.node, separator);
  }
  parent.child_words()[right - 1] = Change::self(node);
  inner_erase(parent, right);
  retire(sibling.child.pfn);
}

/// Evens out two neighbours; `separator` is the parent's key of the right one.
void Tree::share(Node& left, Node& right, Key& separator) {
  if (left.header.level == 0) {
    Node old_left = left;
    Node old_right = right;
    EntryList list;
    list.append(old_left);
    list.append(old_right);
    size_t middle = list.middle();
    leaf_fill(left, list.all().first(middle));
    leaf_fill(right, list.all().subspan(middle));
  } else {
    size_t half = (left.children() + right.children()) / 2;
    if (left.children() > half) {
      inner_move_right(left, right, left.children() - half, separator);
    } else {
      inner_move_left(left, right, half - left.children(), separator);
    }
  }
  separator = right.keys()[0];
}

void Tree::set_root(Child child, uint32_t height) {
  root_.pfn = child.pfn;
  root_.node_generation = child.generation;
  root_.height = height;
}

/// A top node with one child is not needed, if it was changed anyway.
void Tree::lower_root() {
  while (root_.height > 1 && root_.node_generation > frozen_through_) {
    const auto* top = reinterpret_cast<const Node*>(word(root_.pfn).load(std::memory_order_relaxed));  // dirty: in RAM
    if (top->header.count > 1) return;
    Pfn old = root_.pfn;
    set_root(top->child_words()[0], root_.height - 1);
    retire(old);
  }
}

Result<size_t> Tree::erase_some(Key first, Key last, size_t entries_max) {
  size_t erased = 0;
  for (Cursor cursor(*this); erased < entries_max; ++erased) {
    auto found = cursor.seek_ge(first);
    if (found && (!*found || cursor.key() > last)) break;
    auto result = found ? erase(cursor.key()) : std::move(found);
    if (!result && erased == 0) return std::unexpected(std::move(result).error());
    if (!result) break;
  }
  return erased;
}

}  // namespace dmap
