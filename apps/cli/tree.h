// SPDX-License-Identifier: Apache-2.0
//
// What a tree of files is copied from and to: the host or a volume, on either side. Both ends stand in a directory, as
// a process does, and move down and up by one name at a time, so that a tree of any depth needs no long path, no
// recursion and one descriptor.
#ifndef DMAP_CLI_TREE_H_
#define DMAP_CLI_TREE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dmap/options.h"
#include "dmap/result.h"
#include "dmap/types.h"

namespace dmap::cli {

/// Tells objects of the source apart, so that the second name of one becomes a hard link.
struct Identity {
  uint64_t device = 0;
  uint64_t inode = 0;
  friend auto operator<=>(Identity, Identity) = default;
};

enum class Holes : uint8_t { kNone, kPossible };

/// An object of the source with all that is kept of it.
struct Object {
  Identity identity;
  FileType type = FileType::kRegular;
  uint32_t permissions = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t links = 1;
  Bytes size;
  Holes holes = Holes::kNone;
  uint64_t device = 0;  ///< st_rdev of a character or block device
  Time accessed, modified;
};

struct Xattr {
  std::string name;
  std::vector<std::byte> value;
};

/// A directory's entry, and its type where the directory says it.
struct Name {
  std::string text;
  std::optional<FileType> type;
};

/// Bytes [begin, end) of a file that are data.
struct DataRange {
  uint64_t begin = 0;
  uint64_t end = 0;
};

/// Consecutive bytes of a file.
using Pieces = std::span<const std::span<const std::byte>>;

/// Where a tree comes from. One thread.
class TreeSource {
 public:
  virtual ~TreeSource() = default;

  /// Makes `name` of the directory where we stand the current object; `.` is that directory.
  [[nodiscard]] virtual Result<Object> look(const Name& name) = 0;

  // About the current object.
  /// Of a symbolic link.
  [[nodiscard]] virtual Result<std::string> link_target() = 0;
  /// Of a regular file: some bytes from `offset` on, at most up to `end`; nothing at the end of the file. They stay
  /// good until the next call of anything.
  [[nodiscard]] virtual Result<Pieces> read(uint64_t offset, uint64_t end) = 0;
  /// Of a regular file: the first run of data at or behind `offset`, if there is one.
  [[nodiscard]] virtual Result<std::optional<DataRange>> next_data(uint64_t offset) = 0;
  [[nodiscard]] virtual Result<std::vector<Xattr>> xattrs() = 0;

  /// Steps into the current object, a directory; its entries without `.` and `..`. An error leaves us where we stood.
  [[nodiscard]] virtual Result<std::vector<Name>> enter() = 0;
  /// Back to the directory above. After an error there is no going on with this source.
  [[nodiscard]] virtual Result<void> leave() = 0;
};

/// Where a tree goes. An existing directory takes in what comes; any other object is replaced when its replacement is
/// complete, and not before. One thread.
class TreeTarget {
 public:
  virtual ~TreeTarget() = default;

  /// Gives the object a second name, if it came by before. False: it did not.
  [[nodiscard]] virtual Result<bool> link_known(const Object& object, const std::string& name) = 0;

  /// Begins a new object that is no directory. It gets its name at once if nothing has it, else in finish().
  [[nodiscard]] virtual Result<void> create(const std::string& name, const Object& object,
                                            std::string_view link_target) = 0;
  // About the object that was begun.
  [[nodiscard]] virtual Result<void> write(std::span<const std::byte> bytes, uint64_t offset) = 0;
  [[nodiscard]] virtual Result<void> set_size(Bytes size) = 0;
  /// Gives it its attributes, and its name.
  [[nodiscard]] virtual Result<void> finish(const Object& object, const std::vector<Xattr>& xattrs) = 0;
  /// Takes away what was begun, if anything was.
  virtual void abandon() = 0;

  /// Steps into a directory, made if it is not there; `.` is where we stand.
  [[nodiscard]] virtual Result<void> enter(const std::string& name, const Object& object) = 0;
  /// Gives the directory where we stand its attributes, now that nothing changes in it any more.
  [[nodiscard]] virtual Result<void> finish_directory(const Object& object, const std::vector<Xattr>& xattrs) = 0;
  [[nodiscard]] virtual Result<void> leave() = 0;

  /// What to do about an error of this target, in words; may be empty.
  [[nodiscard]] virtual std::string advice(const Error& error) const = 0;
};

}  // namespace dmap::cli

#endif  // DMAP_CLI_TREE_H_
