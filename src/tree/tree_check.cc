// SPDX-License-Identifier: Apache-2.0
//
// The whole tree looked at: what `check` of a volume asks, and what the tests ask after every step.
#include "tree/tree.h"

namespace dmap {

struct Tree::Walk {
  const std::function<void(const Error&)>& finding;
  const std::function<void(Key, Value)>& entry;
  Census census;

  void report(const Error& error) {
    ++census.findings;
    if (finding) finding(error);
  }
};

Tree::Census Tree::check(const std::function<void(const Error&)>& finding,
                         const std::function<void(Key, Value)>& entry) const {
  Walk all{.finding = finding, .entry = entry, .census = {}};
  if (root_.height > 0) walk(all, root_child(), root_.height - 1, {});
  if (all.census.findings == 0 && all.census.entries != root_.entries) {
    all.report(Error(Code::kCorrupt, "check tree", to_string(root_.pfn),
                     "it has " + std::to_string(all.census.entries) + " entries, not the " +
                         std::to_string(root_.entries) + " that its root counts"));
  }
  return all.census;
}

/// One node and all below it: as deep as the tree is high. Nodes at one level have ranges apart from each other, and a
/// node holds a key of its range, so none is walked twice.
void Tree::walk(Walk& all, Child child, unsigned level, const KeyRange& range) const {
  auto examined = examine({.volume = volume_, .child = child, .level = level, .range = range});
  if (!examined) return all.report(examined.error());
  const Node& node = **examined;
  ++all.census.nodes;
  if (level > 0) {
    for (size_t i = 0; i < node.children(); ++i) {
      walk(all, node.child_words()[i], level - 1, range_of_child(node, i, range));
    }
    return;
  }
  all.census.entries += node.entries();
  for (size_t i = 0; all.entry && i < node.entries(); ++i) {
    auto value = value_of({.node = &node, .child = child, .index = i, .range = range});
    value ? all.entry(node.keys()[i], *value) : all.report(value.error());
  }
}

Result<void> Tree::check_invariants() const {
  std::optional<Error> first;
  Census census = check([&](const Error& error) {
    if (!first) first = error;
  });
  if (first) return std::unexpected(std::move(*first));  // T1, T2, T5
  auto fault = [&](std::string_view what) { return fail(Code::kInvalid, "check tree", to_string(root_.pfn), what); };
  if (census.nodes < dirty_.size()) return fault("T5: there are more changed nodes than nodes");
  for (Node* node : dirty_) {
    if (!is_listed(node)) return fault("T3: a changed node does not know its place in the list");
    uintptr_t word = this->word(node->header.pfn).load(std::memory_order_relaxed);  // under the lock
    if (word != reinterpret_cast<uintptr_t>(node)) return fault("T5: a frame does not know its changed node");
    if (node->header.level == 0) continue;
    for (size_t i = 0; i < node->children(); ++i) {
      Child child = node->child_words()[i];
      word = this->word(child.pfn).load(std::memory_order_relaxed);
      if (child.generation > frozen_through_ && word <= kVerified) return fault("T3: a dirty node is not in RAM");
    }
  }
  return {};
}

}  // namespace dmap
