// SPDX-License-Identifier: Apache-2.0
//
// The driver's operations on names and attributes.
#include "testing/model/driver.h"
#include "testing/support/stamp.h"

namespace dmap::testing {
namespace {

constexpr size_t kHandlesMax = 12;
constexpr size_t kObjectsMax = 3000;

InodeNumber number_of(const Result<InodeNumber>& made) { return made ? *made : InodeNumber{}; }
InodeNumber number_of(const Result<File>& opened) { return opened ? opened->inode() : InodeNumber{}; }
const char* text_of(Follow follow) { return follow == Follow::kYes ? " following" : ""; }
std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

void Driver::open() {
  if (handles_.size() >= kHandlesMax) close();
  Place place = any_place();
  FileOptions options{.access = random_.chance(75) ? Access::kReadWrite : Access::kReadOnly,
                      .create = random_.chance(50)   ? Create::kNever
                                : random_.chance(60) ? Create::kIfMissing
                                                     : Create::kExclusive,
                      .follow = random_.chance(90) ? Follow::kYes : Follow::kNo,
                      .ownership = {.permissions = static_cast<uint32_t>(random_.below(07777)), .uid = 7, .gid = 8},
                      .expected_size = Bytes{random_.chance(5) ? random_.below(4 << 20) : 0}};
  if (model_.nodes().size() > kObjectsMax) options.create = Create::kNever;
  if (options.access == Access::kReadWrite && random_.chance(12)) options.truncate = Truncate::kYes;
  say("open " + place.describe() + " create " + std::to_string(static_cast<int>(options.create)) + " truncate " +
      std::to_string(static_cast<int>(options.truncate)) + text_of(options.follow));
  Result<File> real = volume_->open_file(place.at(), options);
  if (ran_out(real, 0)) return;
  Outcome<InodeNumber> wanted = model_.open(place.at(), options, number_of(real));
  if (!judge(real, wanted)) return;
  if (*wanted != real->inode()) return differs("another inode than " + std::to_string(static_cast<uint64_t>(*wanted)));
  if (options.truncate == Truncate::kYes) {
    for (Hold& hold : holds_) {
      if (hold.inode() == *wanted) hold.removed(0, ~uint64_t{0});
    }
  }
  handles_.push_back({std::move(*real), *wanted, options.access});
}

void Driver::close() {
  if (handles_.empty()) return;
  auto handle = handles_.begin() + static_cast<std::ptrdiff_t>(random_.below(handles_.size()));
  say("close #" + std::to_string(static_cast<uint64_t>(handle->inode)));
  model_.close(handle->inode);
  handles_.erase(handle);
}

void Driver::make_directory() {
  if (model_.nodes().size() > kObjectsMax) return;
  Place place = any_place();
  say("mkdir " + place.describe());
  Ownership ownership{.permissions = 0750, .uid = 1, .gid = 2};
  auto real = volume_->make_directory(place.at(), ownership);
  if (ran_out(real, 0)) return;
  judge(real, model_.make(place.at(), FileType::kDirectory, ownership, number_of(real)));
}

void Driver::make_symlink() {
  Place place = any_place();
  std::string target = any_target();
  say("symlink " + place.describe() + " -> '" + shortened(target) + "'");
  Ownership ownership{.permissions = 0777, .uid = 3, .gid = 4};
  auto real = volume_->make_symlink(target, place.at(), ownership);
  if (ran_out(real, target.size())) return;
  judge(real, model_.make(place.at(), FileType::kSymlink, ownership, number_of(real), target));
}

void Driver::make_node() {
  static constexpr FileType kTypes[] = {FileType::kFifo, FileType::kSocket, FileType::kCharDevice,
                                        FileType::kBlockDevice};
  Place place = any_place();
  FileType type = random_.pick(kTypes);
  bool device = type == FileType::kCharDevice || type == FileType::kBlockDevice;
  uint64_t number = device ? random_.below(1 << 20) : 0;
  say("mknod " + place.describe());
  Ownership ownership{.permissions = 0600, .uid = 5, .gid = 6};
  auto real = volume_->make_node(place.at(), type, number, ownership);
  if (ran_out(real, 0)) return;
  judge(real, model_.make(place.at(), type, ownership, number_of(real), {}, number));
}

void Driver::unlink() {
  Place place = any_place();
  say("unlink " + place.describe());
  judge(volume_->unlink(place.at()), model_.unlink(place.at()));
}

void Driver::remove_directory() {
  Place place = any_place();
  if (random_.below(100) == 0) place = {.directory = kRootInode, .path = "/"};
  say("rmdir " + place.describe());
  judge(volume_->remove_directory(place.at()), model_.remove_directory(place.at()));
}

void Driver::link() {
  Place existing = any_place();
  Place name = any_place();
  Follow follow = random_.chance(30) ? Follow::kYes : Follow::kNo;
  say("link " + existing.describe() + " as " + name.describe() + text_of(follow));
  auto real = volume_->link(existing.at(), name.at(), follow);
  if (ran_out(real, 0)) return;
  judge(real, model_.link(existing.at(), name.at(), follow));
}

void Driver::rename() {
  Place from = any_place();
  Place to = random_.chance(3) ? from : any_place();
  if (random_.chance(4)) to = {.directory = from.directory, .path = from.path + "/" + any_name()};  // into itself
  if (random_.chance(4)) std::swap(from, to);
  int follows = model_.follows(to.at());
  if (follows > 8 && follows <= Model::kFollowsMax) return;
  follows = model_.follows(from.at());
  if (follows > 8 && follows <= Model::kFollowsMax) return;
  RenameMode mode = random_.chance(60)   ? RenameMode::kReplace
                    : random_.chance(50) ? RenameMode::kNoReplace
                                         : RenameMode::kExchange;
  say("rename " + from.describe() + " to " + to.describe() + " mode " + std::to_string(static_cast<int>(mode)));
  auto real = volume_->rename(from.at(), to.at(), mode);
  if (ran_out(real, 0)) return;
  judge(real, model_.rename(from.at(), to.at(), mode));
}

void Driver::look() {
  Place place = any_place();
  Follow follow = random_.chance(50) ? Follow::kYes : Follow::kNo;
  say("look at " + place.describe() + text_of(follow));
  Outcome<InodeNumber> wanted = model_.lookup(place.at(), follow);
  auto real = volume_->lookup(place.at(), follow);
  if (judge(real, wanted) && *real != *wanted) differs("lookup finds another inode");
  auto stat = volume_->stat(place.at(), follow);
  if (judge(stat, wanted)) compare_stat(*stat, *wanted);
  auto target = volume_->read_link(place.at());
  auto wanted_target = model_.read_link(place.at());
  if (judge(target, wanted_target) && *target != *wanted_target) differs("another target");
  if (!wanted) return;
  bool directory = model_.node(*wanted).type == FileType::kDirectory;
  auto parent = volume_->parent(*wanted);
  if (directory != parent.has_value()) return differs("parent() of a thing that is no directory, or none of one");
  if (directory && *parent != model_.node(*wanted).parent) differs("another parent");
}

/// Lists a directory in pages and changes names between them: what is there throughout is seen exactly once.
void Driver::list() {
  Place place = any_place();
  auto wanted = model_.lookup(place.at(), Follow::kYes);
  size_t page = random_.between(1, 40);
  say("list " + place.describe() + " by " + std::to_string(page));
  if (!wanted || model_.node(*wanted).type != FileType::kDirectory) {
    Codes codes = wanted ? Codes(Code::kNotDirectory) : wanted.error();
    judge(volume_->read_directory(place.at()), Outcome<void>(std::unexpected(codes)));
    return;
  }
  std::map<std::string, InodeNumber> throughout = model_.node(*wanted).entries;
  std::map<std::string, int> seen;
  DirectoryCookie cookie = kDirectoryStart;
  for (bool more = true; more && !failed();) {
    auto entries = volume_->read_directory(At(*wanted), cookie, page);
    if (!entries) return differs(entries.error().message());
    if (entries->size() > page) return differs("a page of " + std::to_string(entries->size()));
    for (const DirectoryEntry& entry : *entries) {
      if (++seen[entry.name] > 1 && throughout.contains(entry.name)) return differs("listed twice: " + entry.name);
      cookie = entry.cookie;
    }
    more = entries->size() == page;
    random_.chance(50) ? unlink() : rename();
    vanish();
    if (!model_.contains(*wanted)) return;
    const auto& now = model_.node(*wanted).entries;
    std::erase_if(throughout, [&](const auto& entry) {
      auto found = now.find(entry.first);
      return found == now.end() || found->second != entry.second;
    });
  }
  for (const auto& [name, number] : throughout) {
    if (!failed() && !seen.contains(name)) differs("not listed: " + name);
  }
}

void Driver::set_attributes() {
  Place place = any_place();
  Follow follow = random_.chance(50) ? Follow::kYes : Follow::kNo;
  AttributeChanges changes;
  if (random_.chance(50)) changes.permissions = static_cast<uint32_t>(random_.below(07777));
  if (random_.chance(30)) changes.uid = static_cast<uint32_t>(random_.next());
  if (random_.chance(30)) changes.gid = static_cast<uint32_t>(random_.next());
  if (random_.chance(30)) changes.accessed = Time{static_cast<int64_t>(random_.next() >> 2)};
  if (random_.chance(30)) changes.modified = Time{static_cast<int64_t>(random_.next()) >> 1};
  say("set_attributes of " + place.describe() + text_of(follow));
  auto real = volume_->set_attributes(place.at(), changes, follow);
  if (ran_out(real, 0)) return;
  if (!judge(real, model_.set_attributes(place.at(), changes, follow))) return;
  auto stat = volume_->stat(place.at(), follow);
  if (!stat) return differs(stat.error().message());
  compare_stat(*stat, *model_.lookup(place.at(), follow));
  if (changes.accessed && stat->accessed != *changes.accessed) differs("another time of access");
}

void Driver::set_xattr() {
  Place place = any_place();
  Follow follow = random_.chance(50) ? Follow::kYes : Follow::kNo;
  std::string name = "user." + any_name();
  name.resize(std::min<size_t>(name.size(), 255));
  uint64_t kind = random_.below(100);
  size_t size = kind < 70 ? random_.below(100) : kind < 95 ? random_.below(5000) : kind < 99 ? 65536 : 65537;
  XattrMode mode = random_.chance(60) ? XattrMode::kAny : random_.chance(50) ? XattrMode::kCreate : XattrMode::kReplace;
  std::string value = random_.bytes(size);
  say("set_xattr of " + place.describe() + " " + shortened(name) + " size " + std::to_string(size) + " mode " +
      std::to_string(static_cast<int>(mode)) + text_of(follow));
  auto real = volume_->set_xattr(place.at(), name, bytes_of(value), mode, follow);
  if (ran_out(real, size)) return;
  if (size > 65536) {
    if (real.has_value()) differs("took a value of 64 KiB and one byte");
    return;
  }
  judge(real, model_.set_xattr(place.at(), name, value, mode, follow));
}

void Driver::remove_xattr() {
  Place place = any_place();
  Follow follow = random_.chance(50) ? Follow::kYes : Follow::kNo;
  std::string name = "user." + any_name();
  auto found = model_.lookup(place.at(), follow);
  if (found && !model_.node(*found).xattrs.empty()) name = random_.pick(model_.node(*found).xattrs).first;
  name.resize(std::min<size_t>(name.size(), 255));
  say("remove_xattr of " + place.describe() + " " + shortened(name) + text_of(follow));
  judge(volume_->remove_xattr(place.at(), name, follow), model_.remove_xattr(place.at(), name, follow));
}

void Driver::read_xattr() {
  Place place = any_place();
  auto found = model_.lookup(place.at(), Follow::kYes);
  std::string name = "user." + any_name();
  if (found && !model_.node(*found).xattrs.empty()) name = random_.pick(model_.node(*found).xattrs).first;
  name.resize(std::min<size_t>(name.size(), 255));
  say("get_xattr of " + place.describe() + " " + shortened(name));
  auto wanted = model_.get_xattr(place.at(), name, Follow::kYes);
  auto real = volume_->get_xattr(place.at(), name, Follow::kYes);
  if (judge(real, wanted) && text_of(*real) != *wanted) differs("another value of " + name);
}

void Driver::sync() {
  say("sync");
  auto real = volume_->sync();
  if (!real) differs(real.error().message());
}

void Driver::checkpoint() {
  say("checkpoint");
  auto real = volume_->checkpoint();
  if (!real) differs(real.error().message());
}

}  // namespace dmap::testing
