// SPDX-License-Identifier: Apache-2.0
//
// The driver's full comparison: every object with all there is to know of it, and the sums.
#include <algorithm>
#include <chrono>
#include <set>
#include <thread>

#include "base/bits.h"
#include "testing/model/driver.h"

namespace dmap::testing {

void Driver::compare_stat(const Stat& stat, InodeNumber number) {
  const Node& node = model_.node(number);
  std::string wrong;
  auto expect = [&](const char* what, uint64_t real, uint64_t wanted) {
    if (real != wanted)
      wrong += std::string(" ") + what + " " + std::to_string(real) + " not " + std::to_string(wanted);
  };
  expect("inode", static_cast<uint64_t>(stat.inode), static_cast<uint64_t>(number));
  expect("type", static_cast<uint64_t>(stat.type), static_cast<uint64_t>(node.type));
  expect("permissions", stat.permissions, node.ownership.permissions);
  expect("uid", stat.uid, node.ownership.uid);
  expect("gid", stat.gid, node.ownership.gid);
  expect("device", stat.device, node.device);
  if (node.type != FileType::kDirectory) expect("links", stat.links, node.links);
  if (node.type == FileType::kRegular) expect("size", stat.size.value, node.content.size());
  if (node.type == FileType::kSymlink) expect("size", stat.size.value, node.target.size());
  if (node.modified) {
    expect("modified", static_cast<uint64_t>(stat.modified.nanoseconds),
           static_cast<uint64_t>(node.modified->nanoseconds));
  }
  if (!wrong.empty()) differs("stat of #" + std::to_string(static_cast<uint64_t>(number)) + ":" + wrong);
}

void Driver::compare_directory(InodeNumber number, size_t page) {
  std::map<std::string, InodeNumber> real;
  DirectoryCookie cookie = kDirectoryStart;
  for (;;) {
    auto entries = volume_->read_directory(At(number), cookie, page);
    if (!entries) return differs("read_directory: " + entries.error().message());
    for (const DirectoryEntry& entry : *entries) {
      if (!real.emplace(entry.name, entry.inode).second) return differs("listed twice: " + entry.name);
      auto wanted = model_.node(number).entries.find(entry.name);
      if (wanted == model_.node(number).entries.end()) return differs("listed, but not there: " + entry.name);
      if (wanted->second != entry.inode) return differs("another inode under " + entry.name);
      if (model_.node(entry.inode).type != entry.type) return differs("another type of " + entry.name);
      cookie = entry.cookie;
    }
    if (entries->size() < page) break;
  }
  for (const auto& [name, inode] : model_.node(number).entries) {
    if (!real.contains(name)) return differs("not listed: " + name);
    auto found = volume_->lookup(At(number, name), Follow::kNo);
    if (!found || *found != inode) return differs("not found: " + name);
  }
}

void Driver::compare_xattrs(InodeNumber number) {
  auto real = volume_->list_xattrs(At(number));
  if (!real) return differs("list_xattrs: " + real.error().message());
  const auto& wanted = model_.node(number).xattrs;
  if (std::set<std::string>(real->begin(), real->end()).size() != wanted.size() || real->size() != wanted.size()) {
    return differs(std::to_string(real->size()) + " xattrs, must be " + std::to_string(wanted.size()));
  }
  for (const auto& [name, value] : wanted) {
    auto got = volume_->get_xattr(At(number), name);
    if (!got) return differs("get_xattr: " + got.error().message());
    if (std::string(reinterpret_cast<const char*>(got->data()), got->size()) != value) differs("another " + name);
  }
}

/// Compares every block that either side may have bytes in.
void Driver::compare_content(const File& file, InodeNumber number) {
  const Content& content = model_.node(number).content;
  if (file.size().value != content.size()) return differs("another size");
  constexpr uint64_t kPart = 1 << 16;
  for (uint64_t at = 0; at < std::min<uint64_t>(content.size(), 8 << 20) && !failed(); at += kPart) {
    verify_range(file, number, at, kPart);
  }
  if (content.size() <= 8 << 20) return;
  for (const auto& block : content.blocks()) {
    if (!failed()) verify_range(file, number, block.first * Content::kBlock, Content::kBlock);
  }
  for (uint64_t at = 0; at < content.size() && !failed();) {
    auto data = file.seek_data(at);
    auto hole = data ? file.seek_hole(*data) : data;
    if (!hole || hole->value <= data->value) return;
    for (at = data->value; at < hole->value && !failed(); at += kPart) {
      verify_range(file, number, at, std::min(kPart, hole->value - at));
    }
    at = hole->value;
  }
}

/// A file's extents are in order, hold all of its bytes, and are nobody else's.
void Driver::compare_extents(const File& file, InodeNumber number) {
  const Content& content = model_.node(number).content;
  std::string who = "extents of #" + std::to_string(static_cast<uint64_t>(number));
  std::map<uint64_t, uint64_t> written;  // first byte -> byte behind the last
  uint64_t from = 0, frames = 0;
  for (;;) {
    auto fragments = file.extents(from, 64);
    if (!fragments) return differs(who + ": " + fragments.error().message());
    for (const File::Fragment& fragment : *fragments) {
      if (fragment.offset.value < from) return differs(who + " overlap");
      from = fragment.offset.value + bytes_of(fragment.extent.count).value;
      frames += fragment.extent.count.value;
      if (fragment.written) written[fragment.offset.value] = from;
      auto first = static_cast<uint64_t>(fragment.extent.first);
      auto end = static_cast<uint64_t>(fragment.extent.end());
      auto after = owned_.lower_bound(first);
      bool shared = (after != owned_.end() && after->first < end) ||
                    (after != owned_.begin() && std::prev(after)->second > first);
      if (shared) return differs(who + ": frames that have another owner");
      owned_[first] = end;
    }
    if (fragments->size() < 64) break;
  }
  auto stat = file.stat();
  if (stat && stat->allocated != Bytes{frames << kFrameShift}) return differs(who + " and stat().allocated disagree");
  if (content.size() <= File::kInlineMax.value) return;
  for (const auto& [block, text] : content.blocks()) {
    uint64_t at = block * Content::kBlock;
    size_t data = text.find_last_not_of('\0');
    bool may_be_inline = frames == 0 && block == 0 && data < File::kInlineMax.value;
    if (data == std::string::npos || may_be_inline) continue;
    auto fragment = written.upper_bound(at);
    if (fragment == written.begin() || std::prev(fragment)->second <= at) return differs(who + " miss written bytes");
  }
}

void Driver::compare_object(InodeNumber number) {
  const Node& node = model_.node(number);
  auto stat = volume_->stat(At(number), Follow::kNo);
  if (!stat) return differs("stat: " + stat.error().message());
  compare_stat(*stat, number);
  if (node.type == FileType::kDirectory) compare_directory(number, random_.between(1, 200));
  if (node.type != FileType::kSymlink) compare_xattrs(number);
  if (node.type == FileType::kSymlink) {
    auto target = volume_->read_link(At(number));
    if (!target || *target != node.target) differs("read_link");
  }
  if (node.type == FileType::kRegular) {
    auto file = volume_->open_file(At(number));
    if (!file) return differs("open: " + file.error().message());
    compare_content(*file, number);
    if (!failed()) compare_extents(*file, number);
  }
}

void Driver::compare_usage() {
  // An object whose last user was the background thread goes in its next round.
  for (int wait = 0; wait < 500 && volume_->usage().inodes != model_.nodes().size() + hidden_inodes_; ++wait) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  Usage usage = volume_->usage();
  Bytes sum = usage.free + usage.owned + usage.metadata + usage.quarantined + usage.reserved;
  if (sum != usage.total) {
    return differs("usage adds up to " + std::to_string(sum.value) + " of " + std::to_string(usage.total.value));
  }
  uint64_t frames = 0;
  for (const auto& [first, end] : owned_) frames += end - first;
  if (usage.owned < Bytes{frames << kFrameShift}) differs("files have more frames than usage().owned");
  if (usage.inodes != model_.nodes().size() + hidden_inodes_) {
    differs("usage().inodes is " + std::to_string(usage.inodes) + ", must be " +
            std::to_string(model_.nodes().size() + hidden_inodes_));
  }
}

void Driver::compare_holds() {
  for (const Hold& hold : holds_) {
    if (std::string difference = hold.difference(); !difference.empty()) {
      differs("a hold of #" + std::to_string(static_cast<uint64_t>(hold.inode())) + ": " + difference);
    }
  }
}

void Driver::compare_everything() {
  if (failed()) return;
  ++compared_;
  say("compare everything");
  owned_.clear();
  for (const auto& [number, node] : model_.nodes()) {
    if (node.links > 0 && !failed()) compare_object(number);
  }
  std::set<InodeNumber> nameless;
  for (const Handle& handle : handles_) {
    if (failed() || model_.node(handle.inode).links > 0 || !nameless.insert(handle.inode).second) continue;
    compare_content(handle.file, handle.inode);
    if (!failed()) compare_extents(handle.file, handle.inode);
  }
  compare_holds();
  if (!failed()) compare_usage();
}

}  // namespace dmap::testing
