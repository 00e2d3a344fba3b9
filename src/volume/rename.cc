// SPDX-License-Identifier: Apache-2.0
//
// Rename: one record, whatever it moves, replaces or exchanges.
#include "base/check.h"
#include "volume/core.h"

namespace dmap {

Result<void> VolumeCore::rename(At from, At to, RenameMode mode) {
  // Directories move one at a time, so that two moves cannot make a cycle together.
  MutexLock one(rename_);
  for (;;) {
    Resolved source = DMAP_TRY(resolve(from, Follow::kNo));
    Resolved target = DMAP_TRY(resolve(to, Follow::kNo));
    if (source.name.empty()) return fail(Code::kInvalid, "rename", from.path, "it is not a name in a directory");
    if (target.name.empty()) {
      return fail(mode == RenameMode::kNoReplace ? Code::kExists : Code::kInvalid, "rename", to.path,
                  "it is not a name in a directory");
    }
    if (!source.found) return fail(Code::kNotFound, "rename", from.path);
    auto renamed = rename_found(source, target, mode);
    if (!renamed)
      return std::unexpected(
          std::move(renamed).error().within("rename", std::string(from.path) + " to " + std::string(to.path)));
    if (*renamed) return {};
  }
}

Result<bool> VolumeCore::is_inside(InodeNumber directory, InodeNumber ancestor) {
  for (uint64_t steps = store_->usage().inodes; directory != ancestor; --steps) {
    if (directory == kRootInode) return false;
    if (steps == 0) return fail(Code::kCorrupt, "", "", "the directories above do not lead to the root");
    directory = DMAP_TRY(parent_of(directory));
  }
  return true;
}

Result<void> VolumeCore::may_rename(const Resolved& source, const Resolved& target, RenameMode mode) {
  bool moves_directory = source.found->type == FileType::kDirectory;
  if (!moves_directory && (source.must_be_directory || (target.must_be_directory && mode != RenameMode::kExchange))) {
    return fail(Code::kNotDirectory);
  }
  if (!target.found && mode == RenameMode::kExchange) return fail(Code::kNotFound);
  if (target.found && mode == RenameMode::kNoReplace) return fail(Code::kExists);
  if (moves_directory && DMAP_TRY(is_inside(target.parent, source.found->inode))) {
    return fail(Code::kInvalid, "", "", "a directory cannot go into itself");
  }
  if (!target.found) return {};
  bool meets_directory = target.found->type == FileType::kDirectory;
  if (mode == RenameMode::kExchange) {
    if (meets_directory && DMAP_TRY(is_inside(source.parent, target.found->inode))) {
      return fail(Code::kInvalid, "", "", "a directory cannot go into itself");
    }
    return {};
  }
  if (moves_directory && !meets_directory) return fail(Code::kNotDirectory);
  // An ancestor of what moves is a directory that is not empty.
  if (!moves_directory && meets_directory) return fail(Code::kIsDirectory);
  return {};
}

Result<bool> VolumeCore::rename_found(const Resolved& source, const Resolved& target, RenameMode mode) {
  DMAP_TRY(check_name(target.name));
  DMAP_TRY(may_rename(source, target, mode));
  InodeRef from = DMAP_TRY(inode(source.parent));
  InodeRef to = DMAP_TRY(inode(target.parent));
  auto gone = [](const Result<InodeRef>& ref) { return !ref && ref.error().code() == Code::kNotFound; };
  auto got_moved = inode(source.found->inode);
  if (gone(got_moved)) return false;
  InodeRef moved = DMAP_TRY(std::move(got_moved));
  InodeRef met;
  if (target.found) {
    auto got_met = inode(target.found->inode);
    if (gone(got_met)) return false;
    met = DMAP_TRY(std::move(got_met));
  }

  std::optional<InodeLocks> locks(std::in_place,
                                  std::initializer_list<Inode*>{from.get(), to.get(), moved.get(), met.get()});
  from->mutex.assert_held();
  to->mutex.assert_held();
  moved->mutex.assert_held();
  if (!DMAP_TRY(is_still(*from, source)) || !DMAP_TRY(is_still(*to, target))) return false;
  if (to->record.links == 0) return fail(Code::kNotFound, "", "", "the directory was removed");
  if (met && met.get() == moved.get()) return true;  // two names of one object: POSIX says to do nothing
  bool exchange = mode == RenameMode::kExchange;
  bool replaces = met && !exchange;
  if (replaces && met->is_directory() && !DMAP_TRY(is_empty(*met))) return fail(Code::kNotEmpty);

  Time time = now();
  Transaction txn;
  std::optional<Found> left_behind = exchange ? target.found : std::nullopt;
  DMAP_TRY(record_names({{from.get(), source.name, left_behind}, {to.get(), target.name, source.found}}, txn));

  // Records by inode; two of them may be one object (one directory for both names).
  InodeRecord moved_record = current(*moved);
  moved_record.changed = time;
  InodeRecord from_record = current(*from);
  InodeRecord to_record = current(*to);
  InodeRecord& to_links = from.get() == to.get() ? from_record : to_record;
  from_record.modified = from_record.changed = to_record.modified = to_record.changed = time;
  if (moved->is_directory()) {
    --from_record.links;
    ++to_links.links;
    moved_record.parent = to->number;
  }
  InodeRecord met_record;
  std::optional<NameLoss> loss;
  if (met) {
    met->mutex.assert_held();
    if (met->is_directory()) --to_links.links;
    if (exchange) {
      met_record = current(*met);
      met_record.changed = time;
      if (met->is_directory()) {
        ++from_record.links;
        met_record.parent = from->number;
      }
      txn.put(key_of(met->number, Kind::kInode), encode(met_record));
    } else {
      loss.emplace(DMAP_TRY(plan_name_loss(*met, time, txn)));
    }
  }
  txn.put(key_of(moved->number, Kind::kInode), encode(moved_record));
  txn.put(key_of(from->number, Kind::kInode), encode(from_record));
  if (to.get() != from.get()) txn.put(key_of(to->number, Kind::kInode), encode(to_record));

  forget_name(from->number, source.name);
  forget_name(to->number, target.name);
  DMAP_TRY(store_->commit(txn, {}, replaces ? Purpose::kDelete : Purpose::kChange, [] {}));

  show_record(*moved, moved_record);
  show_record(*from, from_record);
  if (to.get() != from.get()) show_record(*to, to_record);
  if (exchange) {
    met->mutex.assert_held();
    show_record(*met, met_record);
  }
  remember_name(to->number, target.name, *source.found);
  if (loss) {
    RcuReadSection section;  // keeps a dead object's lock until it is open
    complete_name_loss(std::move(*loss), met);
    locks.reset();
  }
  return true;
}

Result<bool> VolumeCore::is_still(Inode& directory, const Resolved& resolved) {
  auto now_there = lookup_locked(directory, resolved.name);
  if (!now_there && now_there.error().code() != Code::kNotFound) return std::unexpected(std::move(now_there).error());
  if (!now_there || !resolved.found) return now_there.has_value() == resolved.found.has_value();
  return now_there->inode == resolved.found->inode;
}

}  // namespace dmap
