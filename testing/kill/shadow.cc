// SPDX-License-Identifier: Apache-2.0
#include "testing/kill/shadow.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

namespace dmap::testing {

bool Shadow::has_parent(const std::string& path) const {
  std::string parent = path.substr(0, path.rfind('/'));
  return parent == home_of(thread_) || parent == kShared || names_.contains(parent);
}

bool Shadow::has_children(const std::string& path) const {
  auto below = names_.lower_bound(path + "/");
  return below != names_.end() && below->first.starts_with(path + "/");
}

Shadow::Object* Shadow::file(const std::string& path) const {
  auto found = names_.find(path);
  return found == names_.end() || found->second->directory ? nullptr : found->second.get();
}

void Shadow::apply(const Step& step, uint64_t number) {
  Object* object = file(step.name);
  Object* other = file(step.other);
  if (object != nullptr) object->previous = object->content;
  auto overwrite = [&](uint64_t offset, std::string_view text) {
    if (object->content.size() < offset + text.size()) object->content.resize(offset + text.size());
    object->content.replace(offset, text.size(), text);
  };
  switch (step.kind) {
    case StepKind::kWrite:
      if (object != nullptr) overwrite(step.offset, step.text);
      break;
    case StepKind::kCreate:
      if (object == nullptr && has_parent(step.name)) names_[step.name] = std::make_shared<Object>();
      break;
    case StepKind::kAppend:
      if (object != nullptr) overwrite(object->content.size(), step.text);
      break;
    case StepKind::kTruncate:
      if (object != nullptr) object->content.resize(step.offset);
      break;
    case StepKind::kPunch:
      if (object != nullptr && step.offset < object->content.size()) {
        overwrite(step.offset, std::string(std::min(step.length, object->content.size() - step.offset), '\0'));
      }
      break;
    case StepKind::kUnlink: names_.erase(step.name); break;
    case StepKind::kRename:
      if (object == nullptr || !has_parent(step.other)) break;
      if (object == other && step.mode != RenameMode::kNoReplace) break;
      if (step.mode == RenameMode::kNoReplace && other != nullptr) break;
      if (step.mode == RenameMode::kExchange) {
        if (other != nullptr) std::swap(names_[step.name], names_[step.other]);
      } else {
        names_[step.other] = names_[step.name];
        names_.erase(step.name);
      }
      break;
    case StepKind::kLink:
      if (object != nullptr && other == nullptr && has_parent(step.other)) names_[step.other] = names_[step.name];
      break;
    case StepKind::kMakeDirectory:
      if (!names_.contains(step.name)) names_[step.name] = std::make_shared<Object>(true, "", "");
      break;
    case StepKind::kRemoveDirectory:
      if (!has_children(step.name)) names_.erase(step.name);
      break;
    case StepKind::kXattr:
      if (object != nullptr) object->xattr = std::to_string(number);
      break;
    case StepKind::kOrphan: break;
  }
}

Shadow Shadow::copy() const {
  Shadow other(thread_);
  std::map<Object*, std::shared_ptr<Object>> copies;
  for (const auto& [name, object] : names_) {
    auto& made = copies[object.get()];
    if (made == nullptr) made = std::make_shared<Object>(*object);
    other.names_[name] = made;
  }
  return other;
}

uint64_t Shadow::objects() const {
  std::set<const Object*> objects;
  for (const auto& [name, object] : names_) objects.insert(object.get());
  return objects.size();
}

std::string Shadow::list(Volume& volume, std::map<std::string, Stat>& found) const {
  std::string mine = "of" + std::to_string(thread_) + "-";
  std::vector<std::string> folders = {home_of(thread_), kShared};
  while (!folders.empty()) {
    std::string folder = folders.back();
    folders.pop_back();
    auto entries = volume.read_directory(folder);
    if (!entries) return entries.error().message();
    for (const DirectoryEntry& entry : *entries) {
      if (folder == kShared && !entry.name.starts_with(mine)) continue;
      std::string path = folder + "/" + entry.name;
      auto stat = volume.stat(path);
      if (!stat) return stat.error().message();
      if (stat->inode != entry.inode) return path + ": listed with another inode";
      found[path] = *stat;
      if (entry.type == FileType::kDirectory) folders.push_back(path);
    }
  }
  return "";
}

std::string Shadow::difference(Volume& volume, const Step* torn) {
  std::map<std::string, Stat> found;
  if (std::string wrong = list(volume, found); !wrong.empty()) return wrong;
  for (const auto& [path, stat] : found) {
    if (!names_.contains(path)) return path + " is there and must not be";
  }
  std::map<const Object*, InodeNumber> numbers;
  for (const auto& [path, object] : names_) {
    auto real = found.find(path);
    if (real == found.end()) return path + " is missing";
    const Stat& stat = real->second;
    if ((stat.type == FileType::kDirectory) != object->directory) return path + " is of another type";
    auto [known, first] = numbers.emplace(object.get(), stat.inode);
    if (known->second != stat.inode) return path + " is another object than its other names";
    if (object->directory || !first) continue;
    auto names = std::count_if(names_.begin(), names_.end(), [&](auto& name) { return name.second == object; });
    if (stat.links != static_cast<uint64_t>(names)) return path + " has " + std::to_string(stat.links) + " links";
    if (std::string wrong = compare_file(volume, path, stat, torn); !wrong.empty()) return wrong;
  }
  return "";
}

std::string Shadow::compare_file(Volume& volume, const std::string& path, const Stat& stat, const Step* torn) {
  Object& object = *file(path);
  if (stat.size.value != object.content.size()) {
    return path + " has size " + std::to_string(stat.size.value) + ", must be " + std::to_string(object.content.size());
  }
  auto opened = volume.open_file(path);
  if (!opened) return opened.error().message();
  std::string real(object.content.size(), '?');
  auto got = opened->read_at(std::as_writable_bytes(std::span(real)), 0);
  if (!got) return got.error().message();
  bool may_be_torn = torn != nullptr && file(torn->name) == &object &&
                     (torn->kind == StepKind::kWrite || torn->kind == StepKind::kPunch);
  for (uint64_t at = 0; at < real.size() && real != object.content; at += 8) {
    std::string_view is(real.data() + at, std::min<uint64_t>(8, real.size() - at));
    std::string_view must(object.content.data() + at, is.size());
    if (is == must) continue;
    if (may_be_torn && at >= torn->offset && at - torn->offset < torn->length) {
      uint64_t in = at - torn->offset;
      std::string fresh = torn->kind == StepKind::kPunch ? std::string(is.size(), '\0') : torn->text.substr(in, 8);
      // Before or after the step, word by word: a plain overwrite may mix in its own range (J2).
      if (is == fresh || (at < object.previous.size() && is == object.previous.substr(at, is.size()))) continue;
    }
    uint64_t word = 0;
    std::memcpy(&word, is.data(), is.size());
    return path + " at " + std::to_string(at) + " of " + std::to_string(real.size()) + " is thread " +
           std::to_string(word >> 56) + "'s step " + std::to_string(word >> 24 & 0xffffffff) + " word " +
           std::to_string(word & 0xffffff);
  }
  object.content = std::move(real);
  auto xattr = volume.get_xattr(path, "user.stamp");
  std::string value = xattr ? std::string(reinterpret_cast<const char*>(xattr->data()), xattr->size()) : "";
  if (value != object.xattr) return path + " has xattr '" + value + "', must be '" + object.xattr + "'";
  return "";
}

}  // namespace dmap::testing
