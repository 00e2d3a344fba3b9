// SPDX-License-Identifier: Apache-2.0
#include "tree_copy.h"

#include <algorithm>
#include <utility>

namespace dmap::cli {
namespace {

/// Whether what follows would fail in the same way.
bool ends_the_target(Code code) {
  switch (code) {
    case Code::kNoSpace:
    case Code::kReadOnly:
    case Code::kIo:
    case Code::kCorrupt:
    case Code::kNoMemory: return true;
    default: return false;
  }
}

}  // namespace

bool TreeCopy::copy(TreeSource& source, const std::string& from, const std::string& to, std::string shown) {
  source_ = &source;
  levels_.clear();
  path_ = std::move(shown);
  if (auto copied = copy_object({.text = from, .type = std::nullopt}, to); !copied) report(copied.error());

  while (!levels_.empty() && !stopped_) {
    Level& level = levels_.back();
    if (level.next == level.names.size()) {
      auto left = ascend();
      if (!left) {
        report(left.error());
        stopped_ = true;  // where we stand is unknown now
      }
      continue;
    }
    Name name = std::move(level.names[level.next++]);
    size_t path_size = path_.size();
    if (!path_.ends_with('/')) path_.push_back('/');
    path_.append(name.text);
    size_t depth = levels_.size();
    if (auto copied = copy_object(name, name.text); !copied) report(copied.error());
    if (levels_.size() == depth) {
      path_.resize(path_size);
    } else {
      levels_.back().path_size = path_size;
    }
  }
  return !stopped_;
}

Result<void> TreeCopy::copy_object(const Name& from, const std::string& to) {
  end_ = End::kSource;
  Object object = DMAP_TRY(source_->look(from));
  if (object.type == FileType::kDirectory) return descend(to, object);

  if (object.links > 1 && DMAP_TRY(of_target(target_.link_known(object, to)))) {
    line_.add({}, 1);
    return {};
  }
  std::string link_target;
  if (object.type == FileType::kSymlink) link_target = DMAP_TRY(source_->link_target());

  DMAP_TRY(of_target(target_.create(to, object, link_target)));
  auto filled = [&]() -> Result<void> {
    if (object.type == FileType::kRegular) DMAP_TRY(copy_file(object));
    auto xattrs = DMAP_TRY(source_->xattrs());
    return of_target(target_.finish(object, xattrs));
  }();
  if (!filled) target_.abandon();
  line_.add({}, 1);
  return filled;
}

Result<void> TreeCopy::copy_file(const Object& object) {
  if (object.holes == Holes::kNone) return copy_range(0, UINT64_MAX);
  uint64_t offset = 0;
  while (auto data = DMAP_TRY(source_->next_data(offset))) {
    DMAP_TRY(copy_range(data->begin, data->end));
    offset = data->end;
  }
  return of_target(target_.set_size(object.size));
}

Result<void> TreeCopy::copy_range(uint64_t begin, uint64_t end) {
  while (begin < end) {
    Pieces pieces = DMAP_TRY(source_->read(begin, end));
    if (pieces.empty()) return {};
    for (std::span<const std::byte> piece : pieces) {
      DMAP_TRY(of_target(target_.write(piece, begin)));
      begin += piece.size();
      line_.add(Bytes{piece.size()});
    }
  }
  return {};
}

Result<void> TreeCopy::descend(const std::string& to, const Object& object) {
  if (levels_.size() == kDepthMax) {
    return fail(Code::kNameTooLong, "copy", path_, "more than 2047 directories below each other");
  }
  auto xattrs = DMAP_TRY(source_->xattrs());
  auto names = DMAP_TRY(source_->enter());
  if (auto entered = of_target(target_.enter(to, object)); !entered) {
    // Back to where both ends stood: the rest of the directory above can still be copied.
    if (!levels_.empty() && !source_->leave()) stopped_ = true;
    return entered;
  }
  levels_.push_back(
      {.names = std::move(names), .next = 0, .object = object, .xattrs = std::move(xattrs), .path_size = path_.size()});
  return {};
}

Result<void> TreeCopy::ascend() {
  Level level = std::move(levels_.back());
  levels_.pop_back();
  auto finished = of_target(target_.finish_directory(level.object, level.xattrs));
  if (!finished) report(finished.error());
  // Behind the tree's own root nothing is left to do at the source; the target takes the next tree where it stood.
  if (!levels_.empty()) {
    end_ = End::kSource;
    DMAP_TRY(source_->leave());
  }
  DMAP_TRY(of_target(target_.leave()));
  path_.resize(level.path_size);
  return {};
}

void TreeCopy::report(const Error& error) {
  bool is_targets = std::exchange(end_, End::kSource) == End::kTarget;
  report_.failure(error, path_, is_targets ? target_.advice(error) : "");
  if (is_targets && ends_the_target(error.code())) stopped_ = true;
}

}  // namespace dmap::cli
