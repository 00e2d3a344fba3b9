// SPDX-License-Identifier: Apache-2.0
#include "extent/extent_map.h"

#include <string>

#include "base/check.h"
#include "extent/extent_map_node.h"

namespace dmap {

using namespace extent_map;  // NOLINT(google-build-using-namespace): its nodes

namespace {

Segment segment_of(const Mapping& mapping) {
  return {mapping.file_frame, mapping.frames, mapping.pfn, mapping.birth,
          mapping.written ? SegmentKind::kWritten : SegmentKind::kUnwritten};
}
Segment hole_between(uint64_t first, uint64_t end) {
  return {.first = first, .frames = end - first, .pfn = {}, .birth = 0, .kind = SegmentKind::kHole};
}

/// Asks for all of a node at once: a search would wait for one cache line after the other (finds in a million extents
/// take less than half the time). What is read past a smaller node's end does no harm.
void prefetch(const ExtentNode* node) {
  constexpr size_t kNodeSizeMax = sizeof(ExtentNode) + kEntriesMax<Mapping> * sizeof(Mapping);
  const char* line = reinterpret_cast<const char*>(node);
  for (size_t at = 0; at < kNodeSizeMax; at += 64) __builtin_prefetch(line + at);
}

/// The leaf where `file_frame` is or would be; `next`, if a leaf follows, becomes where its mappings start (E3).
const ExtentNode* leaf_of(const ExtentNode* node, uint64_t file_frame, uint64_t& next) {
  while (node->level > 0) {
    unsigned at = position<Child>(node, file_frame);
    const Child* children = entries<Child>(node);
    if (at + 1U < node->count) next = children[at + 1].file_frame;
    node = children[at].node;
    prefetch(node);
  }
  return node;
}

}  // namespace

// Reading

Segment ExtentVersion::find(uint64_t file_frame) const {
  const ExtentNode* node = root_;
  if (node == nullptr) return hole_between(0, kFileFrames);
  uint64_t next = kFileFrames;
  node = leaf_of(node, file_frame, next);
  const Mapping* mapping = entries<Mapping>(node) + position<Mapping>(node, file_frame);
  if (file_frame - mapping->file_frame < mapping->frames) return segment_of(*mapping);  // wraps if it starts later
  if (file_frame < mapping->file_frame) return hole_between(0, mapping->file_frame);    // by E3 it is the map's first
  if (mapping + 1 < entries<Mapping>(node) + node->count) next = mapping[1].file_frame;
  return hole_between(mapping->end(), next);
}

ExtentVersion::LeafPart ExtentVersion::leaf_part(uint64_t file_frame) const {
  const ExtentNode* node = root_;
  if (node == nullptr) return {{}, kFileFrames};
  uint64_t next = kFileFrames;
  node = leaf_of(node, file_frame, next);
  unsigned at = position<Mapping>(node, file_frame);
  if (entries<Mapping>(node)[at].end() <= file_frame) ++at;
  return {{entries<Mapping>(node) + at, node->count - at}, next};
}

uint64_t ExtentVersion::next_data(uint64_t file_frame) const {
  uint64_t found = kFileFrames;
  for_each(file_frame, kFileFrames, [&](const Mapping& mapping) {
    if (!mapping.written) return Visit::kMore;
    found = mapping.file_frame;
    return Visit::kStop;
  });
  return found;
}

uint64_t ExtentVersion::next_hole(uint64_t file_frame) const {
  uint64_t found = file_frame;
  for_each(file_frame, kFileFrames, [&](const Mapping& mapping) {
    if (mapping.file_frame > found || !mapping.written) return Visit::kStop;
    found = mapping.end();
    return Visit::kMore;
  });
  return found;
}

// The map

ExtentMap::~ExtentMap() {
  CHECK(!editing_);
  free_tree(root_.load(std::memory_order_relaxed));  // relaxed: nobody else is left
}

ExtentMap::Edit ExtentMap::edit() { return Edit(*this); }

void ExtentMap::publish(ExtentNode* root, uint64_t count, uint64_t bytes) {
  // release: the nodes' contents; pairs with the acquire in version()
  root_.store(root, std::memory_order_release);
  count_.store(count, std::memory_order_relaxed);
  bytes_.store(bytes, std::memory_order_relaxed);
}

void ExtentMap::load(Builder&& built) {
  CHECK(!editing_ && count() == 0);
  ExtentNode* root = built.finish();
  publish(root, std::exchange(built.count_, 0), std::exchange(built.bytes_, 0));
}

void ExtentMap::clear() {
  CHECK(!editing_);
  ExtentNode* root = root_.load(std::memory_order_relaxed);  // relaxed: only writers store, and we are the writer
  publish(nullptr, 0, 0);
  if (root != nullptr) rcu_retire<free_tree>(root);
}

unsigned ExtentMap::depth() const {
  const ExtentNode* root = root_.load(std::memory_order_relaxed);  // relaxed: for the writer
  return root == nullptr ? 0 : root->level + 1U;
}

namespace {

struct Totals {
  uint64_t count = 0;
  uint64_t bytes = 0;
  Mapping last{};  // frames == 0: none yet
};

void check_node(const ExtentNode* node, Totals& totals) {
  CHECK(node->count > 0);  // E4
  CHECK(node->count <= node->capacity && node->capacity <= entries_max(node));
  totals.bytes += size_of(node);
  if (node->level == 0) {
    for (const Mapping& mapping : std::span(entries<Mapping>(node), node->count)) {
      CHECK(is_within_a_file(mapping) && totals.last.end() <= mapping.file_frame);  // E1
      CHECK(totals.last.frames == 0 || !continues(totals.last, mapping));           // E2
      totals.last = mapping;
    }
    totals.count += node->count;
    return;
  }
  const Child* children = entries<Child>(node);
  for (unsigned i = 0; i < node->count; ++i) {
    const ExtentNode* child = children[i].node;
    CHECK(child->level + 1 == node->level);                                                                   // E4
    CHECK(children[i].file_frame == first_frame(child));                                                      // E3
    if (i > 0) CHECK(children[i - 1].node->count + child->count > static_cast<int>(entries_max(child) / 2));  // E5
    check_node(child, totals);
  }
}

}  // namespace

void ExtentMap::check_invariants() const {
  const ExtentNode* root = root_.load(std::memory_order_relaxed);  // relaxed: for the writer
  Totals totals;
  if (root != nullptr) {
    CHECK(root->level == 0 || root->count > 1);  // E4
    check_node(root, totals);
  }
  CHECK(totals.count == count());         // E6
  CHECK(Bytes{totals.bytes} == bytes());  // E6
}

// Building

ExtentMap::Builder::~Builder() {
  for (ExtentNode* node : open_) free_tree(node);
}

Result<void> ExtentMap::Builder::add(const Mapping& mapping) {
  auto corrupt = [&](const char* what) {
    return fail(Code::kCorrupt, "load extents", "file frame " + std::to_string(mapping.file_frame), what);
  };
  if (!is_within_a_file(mapping)) return corrupt("the extent is empty or reaches past the largest file");
  if (mapping.file_frame < last_.end()) return corrupt("the extent overlaps the one before");
  if (last_.frames > 0 && continues(last_, mapping)) {
    last_.frames += mapping.frames;
    return {};
  }
  flush();
  last_ = mapping;
  return {};
}

void ExtentMap::Builder::flush() {
  if (last_.frames == 0) return;
  append(0, last_);
  ++count_;
}

/// Adds to the open node of a level; a full one goes up first, and the next is opened.
template <typename Entry>
void ExtentMap::Builder::append(unsigned level, const Entry& entry) {
  CHECK(level < kLevelsMax);
  ExtentNode*& open = open_[level];
  if (open != nullptr && open->count == kEntriesMax<Entry>) {
    append(level + 1, child_of(open));
    open = nullptr;
  }
  if (open == nullptr) {
    open = make_node(level, kEntriesMax<Entry>, 0);
    bytes_ += size_of(open);
  }
  entries<Entry>(open)[open->count++] = entry;
}

template <typename Entry>
ExtentNode* ExtentMap::Builder::shrunk(ExtentNode* node) {
  if (node->capacity == capacity_for(node->count)) return node;
  ExtentNode* copy = make_node(node->level, capacity_for(node->count), 0);
  std::copy_n(entries<Entry>(node), node->count, entries<Entry>(copy));
  copy->count = node->count;
  bytes_ = bytes_ - size_of(node) + size_of(copy);
  free_node(node);
  return copy;
}

/// Closes the open nodes from the leaf up; the last is the root.
ExtentNode* ExtentMap::Builder::finish() {
  flush();
  last_ = {};
  for (unsigned level = 0; open_[level] != nullptr; ++level) {
    ExtentNode* node = std::exchange(open_[level], nullptr);
    node = level == 0 ? shrunk<Mapping>(node) : shrunk<Child>(node);
    if (level + 1 == kLevelsMax || open_[level + 1] == nullptr) return node;
    append(level + 1, child_of(node));
  }
  return nullptr;
}

}  // namespace dmap
