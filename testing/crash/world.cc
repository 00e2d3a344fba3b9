// SPDX-License-Identifier: Apache-2.0
#include "testing/crash/world.h"

#include <algorithm>
#include <vector>

#include "base/check.h"

namespace dmap::testing {
namespace {

using Kind = Operation::Kind;

constexpr uint64_t kFileMax = 96 << 10;

bool has_children(const World& world, const std::string& path) {
  auto below = world.names.lower_bound(path + "/");
  return below != world.names.end() && below->first.starts_with(path + "/");
}

std::string any_directory(const World& world, Random& random) {
  std::vector<std::string> all = {""};
  for (const auto& [path, id] : world.names) {
    if (world.objects.at(id)->is_directory) all.push_back(path);
  }
  return random.pick(all);
}

std::string any_file(const World& world, Random& random) {
  std::vector<std::string> all;
  for (const auto& [path, id] : world.names) {
    if (!world.objects.at(id)->is_directory) all.push_back(path);
  }
  return all.empty() ? "" : random.pick(all);
}

std::string new_name(const World& world, Random& random, char letter) {
  for (;;) {
    std::string path = any_directory(world, random) + "/" + letter + std::to_string(random.below(100));
    if (!world.names.contains(path)) return path;
  }
}

uint64_t any_length(Random& random) {
  uint64_t kind = random.below(10);
  if (kind < 4) return random.between(1, 500);
  if (kind < 6) return random.between(1, 4) * kFrameSize.value;
  return random.between(1, 12000);
}

uint64_t any_offset(uint64_t size, Random& random) {
  uint64_t kind = random.below(10);
  if (kind < 4) return random.below(size + 1);
  if (kind < 6) return size / kFrameSize.value * kFrameSize.value;
  return random.below(40000);
}

Object copy_at(const World& world, const std::string& path) { return world.at(path); }

void put_at(World& world, const std::string& path, Object object) {
  world.objects[world.names.at(path)] = std::make_shared<const Object>(std::move(object));
}

void add(World& world, const std::string& path, Object object) {
  world.names[path] = world.next;
  world.objects[world.next++] = std::make_shared<const Object>(std::move(object));
}

void drop(World& world, const std::string& path) {
  uint64_t id = world.names.at(path);
  world.names.erase(path);
  bool named = std::ranges::any_of(world.names, [&](const auto& name) { return name.second == id; });
  if (!named) world.objects.erase(id);
}

void move(World& world, const std::string& from, const std::string& to) {
  if (world.names.contains(to)) drop(world, to);
  std::map<std::string, uint64_t> names;
  for (const auto& [path, id] : world.names) {
    bool moves = path == from || path.starts_with(from + "/");
    names[moves ? to + path.substr(from.size()) : path] = id;
  }
  world.names = std::move(names);
}

std::span<const std::byte> span_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

Result<Object> read_object(VolumeCore& core, Inode& inode, const Stat& stat) {
  Object object{.is_directory = stat.type == FileType::kDirectory};
  if (!object.is_directory) {
    object.content.resize(stat.size.value);
    auto got = DMAP_TRY(core.read(inode, std::as_writable_bytes(std::span(object.content)), 0));
    if (got != stat.size) return fail(Code::kCorrupt, "read", "file", "it is shorter than it says");
  }
  for (const std::string& name : DMAP_TRY(core.list_xattrs(inode))) {
    auto value = DMAP_TRY(core.get_xattr(inode, name));
    object.xattrs[name] = std::string(reinterpret_cast<const char*>(value.data()), value.size());
  }
  return object;
}

/// Where the bytes of `found` are none that the object had in any of the worlds.
std::string strange_bytes(const std::string& found, uint64_t id, std::span<const World> worlds) {
  std::vector<const std::string*> contents;
  for (const World& world : worlds) {
    auto object = world.objects.find(id);
    if (object != world.objects.end()) contents.push_back(&object->second->content);
  }
  for (size_t at = 0; at < found.size(); ++at) {
    bool known = std::ranges::any_of(contents, [&](const std::string* content) {
      return found[at] == (at < content->size() ? (*content)[at] : '\0');
    });
    if (!known) return "byte " + std::to_string(at) + " of " + std::to_string(found.size()) + " was never there";
  }
  return "";
}

std::string difference(const World& found, const World& wanted, std::span<const World> worlds) {
  for (const auto& [path, id] : found.names) {
    if (!wanted.names.contains(path)) return path + " is there and must not be";
  }
  std::map<uint64_t, uint64_t> ids;
  for (const auto& [path, id] : wanted.names) {
    auto name = found.names.find(path);
    if (name == found.names.end()) return path + " is missing";
    auto [known, first] = ids.emplace(id, name->second);
    if (known->second != name->second) return path + " is another object than its other name";
    if (!first) continue;
    const Object& is = found.at(path);
    const Object& must = *wanted.objects.at(id);
    if (is.is_directory != must.is_directory) return path + " is of another type";
    if (is.content.size() != must.content.size()) {
      return path + " has size " + std::to_string(is.content.size()) + ", must be " +
             std::to_string(must.content.size());
    }
    if (is.xattrs != must.xattrs) return path + " has other attributes";
    if (is.content == must.content) continue;
    if (std::string strange = strange_bytes(is.content, id, worlds); !strange.empty()) return path + ": " + strange;
  }
  return ids.size() == found.objects.size() ? "" : "the number of objects differs";
}

}  // namespace

std::string Operation::text() const {
  static constexpr const char* kNames[] = {"create", "mkdir",  "write", "append", "truncate", "punch",      "allocate",
                                           "unlink", "rename", "link",  "xattr",  "sync",     "checkpoint", "close"};
  return std::string(kNames[static_cast<size_t>(kind)]) + " " + path + " " + other + " " + std::to_string(offset) +
         "+" + std::to_string(std::max<uint64_t>(length, bytes.size()));
}

Operation choose(const World& world, Random& random) {
  std::string file = any_file(world, random);
  uint64_t roll = random.below(100);
  if (file.empty() || roll < 8) return {.kind = Kind::kCreate, .path = new_name(world, random, 'f')};
  uint64_t size = world.at(file).content.size();
  if (roll < 11) return {.kind = Kind::kMakeDirectory, .path = new_name(world, random, 'd')};
  if (roll < 36) {
    return {.kind = Kind::kWrite,
            .path = file,
            .offset = any_offset(size, random),
            .bytes = random.bytes(any_length(random))};
  }
  if (roll < 48 && size < kFileMax)
    return {.kind = Kind::kAppend, .path = file, .bytes = random.bytes(any_length(random))};
  if (roll < 58) return {.kind = Kind::kTruncate, .path = file, .offset = any_offset(size, random)};
  if (roll < 63) {
    return {.kind = Kind::kPunch, .path = file, .offset = random.below(size + 1), .length = any_length(random)};
  }
  if (roll < 66) {
    return {.kind = Kind::kAllocate, .path = file, .offset = any_offset(size, random), .length = any_length(random)};
  }
  if (roll < 74) {
    std::string directory = any_directory(world, random);
    bool whole = directory.empty() || has_children(world, directory) || random.chance(60);
    return {.kind = Kind::kUnlink, .path = whole ? file : directory};
  }
  if (roll < 82) {
    std::string directory = any_directory(world, random);
    if (!directory.empty() && random.chance(30)) {
      std::string to = new_name(world, random, 'd');
      if (!to.starts_with(directory + "/")) return {.kind = Kind::kRename, .path = directory, .other = to};
    }
    std::string other = random.chance(50) ? any_file(world, random) : new_name(world, random, 'f');
    if (!world.names.contains(other) || world.names.at(other) != world.names.at(file)) {
      return {.kind = Kind::kRename, .path = file, .other = other};
    }
  }
  if (roll < 85) return {.kind = Kind::kLink, .path = file, .other = new_name(world, random, 'f')};
  if (roll < 91) {
    return {.kind = Kind::kXattr,
            .path = file,
            .other = "user.x" + std::to_string(random.below(3)),
            .bytes = random.bytes(random.below(random.chance(80) ? 60 : 4000))};
  }
  return {.kind = roll < 97 ? Kind::kSync : Kind::kCheckpoint};
}

World after(World world, const Operation& operation) {
  const std::string& path = operation.path;
  switch (operation.kind) {
    case Kind::kCreate: add(world, path, {}); break;
    case Kind::kMakeDirectory: add(world, path, {.is_directory = true}); break;
    case Kind::kWrite:
    case Kind::kAppend: {
      Object object = copy_at(world, path);
      uint64_t at = operation.kind == Kind::kAppend ? object.content.size() : operation.offset;
      if (object.content.size() < at + operation.bytes.size()) object.content.resize(at + operation.bytes.size());
      object.content.replace(at, operation.bytes.size(), operation.bytes);
      put_at(world, path, std::move(object));
      break;
    }
    case Kind::kTruncate: {
      Object object = copy_at(world, path);
      object.content.resize(operation.offset);
      put_at(world, path, std::move(object));
      break;
    }
    case Kind::kPunch: {
      Object object = copy_at(world, path);
      uint64_t end = std::min<uint64_t>(object.content.size(), operation.offset + operation.length);
      for (uint64_t at = operation.offset; at < end; ++at) object.content[at] = '\0';
      put_at(world, path, std::move(object));
      break;
    }
    case Kind::kAllocate: {
      Object object = copy_at(world, path);
      object.content.resize(std::max<uint64_t>(object.content.size(), operation.offset + operation.length));
      put_at(world, path, std::move(object));
      break;
    }
    case Kind::kUnlink: drop(world, path); break;
    case Kind::kRename: move(world, path, operation.other); break;
    case Kind::kLink: world.names[operation.other] = world.names.at(path); break;
    case Kind::kXattr: {
      Object object = copy_at(world, path);
      object.xattrs[operation.other] = operation.bytes;
      put_at(world, path, std::move(object));
      break;
    }
    case Kind::kSync:
    case Kind::kCheckpoint:
    case Kind::kClose: break;
  }
  return world;
}

namespace {

Result<void> make(VolumeCore& core, const std::string& path, FileType type) {
  Resolved resolved = DMAP_TRY(core.resolve(At(path), Follow::kNo));
  DMAP_TRY(core.create(resolved.parent, resolved.name, VolumeCore::new_record(type, {})));
  return {};
}

}  // namespace

Result<void> perform(VolumeCore& core, const Operation& operation) {
  At path(operation.path);
  At other(operation.other);
  auto object = [&] { return core.inode(path, Follow::kNo); };
  switch (operation.kind) {
    case Kind::kCreate: return make(core, operation.path, FileType::kRegular);
    case Kind::kMakeDirectory: return make(core, operation.path, FileType::kDirectory);
    case Kind::kWrite: return core.write(*DMAP_TRY(object()), span_of(operation.bytes), operation.offset);
    case Kind::kAppend: DMAP_TRY(core.append(*DMAP_TRY(object()), span_of(operation.bytes))); return {};
    case Kind::kTruncate: return core.truncate(*DMAP_TRY(object()), Bytes{operation.offset});
    case Kind::kPunch: return core.punch(*DMAP_TRY(object()), operation.offset, Bytes{operation.length});
    case Kind::kAllocate:
      return core.allocate(*DMAP_TRY(object()), operation.offset, Bytes{operation.length}, KeepSize::kNo);
    case Kind::kUnlink: {
      bool directory = DMAP_TRY(object())->is_directory();
      return core.unlink(path, directory ? VolumeCore::Removal::kDirectory : VolumeCore::Removal::kFile);
    }
    case Kind::kRename: return core.rename(path, other, RenameMode::kReplace);
    case Kind::kLink: {
      InodeNumber number = DMAP_TRY(object())->number;
      Resolved to = DMAP_TRY(core.resolve(other, Follow::kNo));
      return core.link(number, to.parent, to.name);
    }
    case Kind::kXattr:
      return core.set_xattr(*DMAP_TRY(object()), operation.other, span_of(operation.bytes), XattrMode::kAny);
    case Kind::kSync: return core.sync();
    case Kind::kCheckpoint: return core.checkpoint();
    case Kind::kClose: return core.close();
  }
  return {};
}

Result<World> read_world(VolumeCore& core) {
  World world;
  std::map<InodeNumber, uint64_t> ids;
  std::vector<std::pair<InodeNumber, std::string>> directories = {{kRootInode, ""}};
  while (!directories.empty()) {
    auto [number, path] = directories.back();
    directories.pop_back();
    for (const DirectoryEntry& entry : DMAP_TRY(core.read_directory(number, kDirectoryStart, SIZE_MAX))) {
      std::string name = path + "/" + entry.name;
      auto [id, is_new] = ids.emplace(entry.inode, world.next);
      world.names[name] = id->second;
      if (!is_new) continue;
      ++world.next;
      InodeRef inode = DMAP_TRY(core.inode(entry.inode));
      world.objects[id->second] =
          std::make_shared<const Object>(DMAP_TRY(read_object(core, *inode, core.stat(*inode))));
      if (entry.type == FileType::kDirectory) directories.emplace_back(entry.inode, name);
    }
  }
  return world;
}

Match match(const World& found, std::span<const World> worlds) {
  Match result;
  for (size_t i = worlds.size(); i-- > 0;) {
    std::string why = difference(found, worlds[i], worlds);
    if (why.empty()) return {.found = true, .index = i, .why = {}};
    if (result.why.empty()) result.why = why;
  }
  return result;
}

World with_contents_of(World matched, const World& found) {
  for (const auto& [path, id] : found.names) put_at(matched, path, *found.objects.at(id));
  return matched;
}

}  // namespace dmap::testing
