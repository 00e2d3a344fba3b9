// SPDX-License-Identifier: Apache-2.0
#include "testing/model/model.h"

#include <deque>
#include <utility>

#include "base/check.h"

namespace dmap::testing {
namespace {

std::deque<std::string> components_of(std::string_view path) {
  std::deque<std::string> components;
  while (!path.empty()) {
    std::string_view part = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(path.size(), part.size() + 1));
    if (!part.empty()) components.emplace_back(part);
  }
  return components;
}

}  // namespace

std::string Codes::describe() const {
  std::string text;
  for (unsigned code = 0; code <= static_cast<unsigned>(Code::kPermission); ++code) {
    if (!contains(static_cast<Code>(code))) continue;
    text += (text.empty() ? "" : "|") + std::string(name_of(static_cast<Code>(code)));
  }
  return text;
}

Model::Model() {
  nodes_[kRootInode] = {.type = FileType::kDirectory, .ownership = {.permissions = 0755}, .parent = kRootInode};
}

Outcome<Model::Walk> Model::walk(const At& at, Follow follow, int* follows_count) const {
  int ignored = 0;
  int& follows = follows_count == nullptr ? ignored : *follows_count;
  if (!contains(at.directory)) return std::unexpected(Code::kNotFound);
  if (at.path.size() > Volume::kPathMax) return std::unexpected(Code::kNameTooLong);
  std::deque<std::string> rest = components_of(at.path);
  Codes also;  // a name that is too long may be noticed before any other mistake
  for (const std::string& name : rest) {
    if (name.size() > Volume::kNameMax) also = Code::kNameTooLong;
  }

  Walk here{.parent = at.directory, .name = {}, .found = at.directory};
  while (!rest.empty()) {
    std::string name = std::move(rest.front());
    rest.pop_front();
    if (!here.found) return std::unexpected(Code::kNotFound | also);
    InodeNumber directory = *here.found;
    if (!is_directory(directory)) return std::unexpected(Code::kNotDirectory | also);
    if (name.size() > Volume::kNameMax) return std::unexpected(Codes(Code::kNameTooLong) | also);
    if (name == ".") {
      here.name.clear();
    } else if (name == "..") {
      here = {.parent = node(directory).parent, .name = {}, .found = node(directory).parent};
    } else {
      auto entry = node(directory).entries.find(name);
      here = {.parent = directory, .name = name, .found = {}};
      if (entry == node(directory).entries.end()) continue;
      const Node& object = node(entry->second);
      here.found = entry->second;
      if (object.type != FileType::kSymlink || (rest.empty() && follow == Follow::kNo)) continue;
      if (++follows > kFollowsMax) return std::unexpected(Code::kSymlinkLoop | also);
      std::deque<std::string> target = components_of(object.target);
      rest.insert(rest.begin(), target.begin(), target.end());
      InodeNumber start = object.target.starts_with('/') ? kRootInode : directory;
      here = {.parent = start, .name = {}, .found = start};
    }
  }
  return here;
}

int Model::follows(const At& at) const {
  int count = 0;
  (void)walk(at, Follow::kYes, &count);
  return count;
}

Outcome<InodeNumber> Model::lookup(const At& at, Follow follow) const {
  auto place = walk(at, follow);
  if (!place) return std::unexpected(place.error());
  if (!place->found) return std::unexpected(Code::kNotFound);
  return *place->found;
}

bool Model::lies_below(InodeNumber number, InodeNumber ancestor) const {
  while (number != ancestor && number != kRootInode) number = node(number).parent;
  return number == ancestor;
}

void Model::enter(InodeNumber parent, const std::string& name, InodeNumber number) {
  node(parent).entries[name] = number;
  node(parent).modified.reset();
  if (is_directory(number)) node(number).parent = parent;
  node(number).modified.reset();
}

void Model::leave(InodeNumber parent, const std::string& name) {
  node(parent).entries.erase(name);
  node(parent).modified.reset();
}

void Model::drop_if_unused(InodeNumber number) {
  if (node(number).links != 0 || node(number).opens != 0) return;
  nodes_.erase(number);
  vanished_.insert(number);
}

Outcome<InodeNumber> Model::make(const At& at, FileType type, Ownership ownership, InodeNumber number,
                                 std::string_view target, uint64_t device) {
  auto place = walk(at, Follow::kNo);
  if (!place) return std::unexpected(place.error());
  if (place->found) return std::unexpected(Code::kExists);
  if (contains(number) || static_cast<uint64_t>(number) == 0) return std::unexpected(Codes{});  // a number given twice
  nodes_[number] = {.type = type, .ownership = ownership, .device = device, .target = std::string(target)};
  enter(place->parent, place->name, number);
  return number;
}

Outcome<InodeNumber> Model::open(const At& at, const FileOptions& options, InodeNumber number) {
  Follow follow = options.create == Create::kExclusive ? Follow::kNo : options.follow;
  auto place = walk(at, follow);
  if (!place) return std::unexpected(place.error());
  if (place->found) {
    Node& object = node(*place->found);
    Codes wrong;
    if (options.create == Create::kExclusive) wrong |= Code::kExists;
    if (object.type == FileType::kDirectory) wrong |= Code::kIsDirectory;
    if (object.type == FileType::kSymlink) wrong |= Code::kSymlinkLoop;
    if (!wrong.empty()) return std::unexpected(wrong);
    if (object.type != FileType::kRegular) return std::unexpected(Codes::any());
    if (options.truncate == Truncate::kYes) object.content.truncate(0), object.modified.reset();
    ++object.opens;
    return *place->found;
  }
  if (options.create == Create::kNever) return std::unexpected(Code::kNotFound);
  if (contains(number)) return std::unexpected(Codes{});
  nodes_[number] = {.type = FileType::kRegular, .ownership = options.ownership, .opens = 1};
  enter(place->parent, place->name, number);
  return number;
}

void Model::close(InodeNumber number) {
  CHECK(node(number).opens > 0);
  --node(number).opens;
  drop_if_unused(number);
}

Outcome<void> Model::unlink(const At& at) {
  auto place = walk(at, Follow::kNo);
  if (!place) return std::unexpected(place.error());
  if (!place->found) return std::unexpected(Code::kNotFound);
  if (is_directory(*place->found)) return std::unexpected(Code::kIsDirectory);
  leave(place->parent, place->name);
  --node(*place->found).links;
  drop_if_unused(*place->found);
  return {};
}

Outcome<void> Model::remove_directory(const At& at) {
  auto place = walk(at, Follow::kNo);
  if (!place) return std::unexpected(place.error());
  if (!place->found) return std::unexpected(Code::kNotFound);
  if (!is_directory(*place->found)) return std::unexpected(Code::kNotDirectory);
  if (place->name.empty()) return std::unexpected(Codes::any());
  if (!node(*place->found).entries.empty()) return std::unexpected(Code::kNotEmpty);
  leave(place->parent, place->name);
  nodes_.erase(*place->found);
  vanished_.insert(*place->found);
  return {};
}

Outcome<void> Model::link(const At& existing, const At& name, Follow follow) {
  auto from = walk(existing, follow);
  auto to = walk(name, Follow::kNo);
  Codes wrong;
  if (!from) wrong |= from.error();
  if (from && !from->found) wrong |= Code::kNotFound;
  if (from && from->found && is_directory(*from->found)) wrong |= Code::kIsDirectory | Code::kPermission;
  if (!to) wrong |= to.error();
  if (to && to->found) wrong |= Code::kExists;
  if (!wrong.empty()) return std::unexpected(wrong);
  std::optional<Time> modified = node(*from->found).modified;
  enter(to->parent, to->name, *from->found);
  node(*from->found).modified = modified;
  ++node(*from->found).links;
  return {};
}

Outcome<void> Model::rename(const At& from, const At& to, RenameMode mode) {
  auto source = walk(from, Follow::kNo);
  auto goal = walk(to, Follow::kNo);
  Codes wrong;
  if (!source) wrong |= source.error();
  if (source && !source->found) wrong |= Code::kNotFound;
  if (!goal) wrong |= goal.error();
  if (goal && !goal->found && mode == RenameMode::kExchange) wrong |= Code::kNotFound;
  if (goal && goal->found && mode == RenameMode::kNoReplace) wrong |= Code::kExists;
  if ((source && source->name.empty()) || (goal && goal->name.empty())) return std::unexpected(Codes::any());
  if (source && source->found && goal) {
    bool directory = is_directory(*source->found);
    bool same = goal->found == source->found;
    if (same && wrong.empty()) return {};
    if (directory && !same && lies_below(goal->parent, *source->found)) wrong |= Code::kInvalid;
    if (goal->found && !same) {
      bool onto_directory = is_directory(*goal->found);
      bool above = onto_directory && lies_below(source->parent, *goal->found);
      if (mode == RenameMode::kExchange && above) wrong |= Code::kInvalid | Code::kNotEmpty;
      if (mode == RenameMode::kReplace && directory && !onto_directory) wrong |= Code::kNotDirectory;
      if (mode == RenameMode::kReplace && !directory && onto_directory) wrong |= Code::kIsDirectory;
      if (mode == RenameMode::kReplace && onto_directory && !node(*goal->found).entries.empty()) {
        wrong |= Code::kNotEmpty;
      }
    }
  }
  if (!wrong.empty()) return std::unexpected(wrong);

  leave(source->parent, source->name);
  if (goal->found) leave(goal->parent, goal->name);
  enter(goal->parent, goal->name, *source->found);
  if (!goal->found) return {};
  if (mode == RenameMode::kExchange) {
    enter(source->parent, source->name, *goal->found);
  } else if (is_directory(*goal->found)) {
    nodes_.erase(*goal->found);
    vanished_.insert(*goal->found);
  } else {
    --node(*goal->found).links;
    drop_if_unused(*goal->found);
  }
  return {};
}

Outcome<void> Model::set_attributes(const At& at, const AttributeChanges& changes, Follow follow) {
  auto found = lookup(at, follow);
  if (!found) return std::unexpected(found.error());
  Node& object = node(*found);
  object.ownership.permissions = changes.permissions.value_or(object.ownership.permissions);
  object.ownership.uid = changes.uid.value_or(object.ownership.uid);
  object.ownership.gid = changes.gid.value_or(object.ownership.gid);
  if (changes.modified) object.modified = changes.modified;
  return {};
}

Outcome<std::string> Model::read_link(const At& at) const {
  auto found = lookup(at, Follow::kNo);
  if (!found) return std::unexpected(found.error());
  if (node(*found).type != FileType::kSymlink) return std::unexpected(Code::kInvalid);
  return node(*found).target;
}

Outcome<void> Model::set_xattr(const At& at, const std::string& name, const std::string& value, XattrMode mode,
                               Follow follow) {
  auto found = lookup(at, follow);
  if (!found) return std::unexpected(found.error());
  auto& xattrs = node(*found).xattrs;
  if (mode == XattrMode::kCreate && xattrs.contains(name)) return std::unexpected(Code::kExists);
  if (mode == XattrMode::kReplace && !xattrs.contains(name)) return std::unexpected(Code::kNoData);
  xattrs[name] = value;
  return {};
}

Outcome<void> Model::remove_xattr(const At& at, const std::string& name, Follow follow) {
  auto found = lookup(at, follow);
  if (!found) return std::unexpected(found.error());
  if (node(*found).xattrs.erase(name) == 0) return std::unexpected(Code::kNoData);
  return {};
}

Outcome<std::string> Model::get_xattr(const At& at, const std::string& name, Follow follow) const {
  auto found = lookup(at, follow);
  if (!found) return std::unexpected(found.error());
  auto value = node(*found).xattrs.find(name);
  if (value == node(*found).xattrs.end()) return std::unexpected(Code::kNoData);
  return value->second;
}

}  // namespace dmap::testing
