// SPDX-License-Identifier: Apache-2.0
//
// Copies trees from a TreeSource to a TreeTarget, and tells what could not be copied.
#ifndef DMAP_CLI_TREE_COPY_H_
#define DMAP_CLI_TREE_COPY_H_

#include <cstddef>
#include <string>
#include <vector>

#include "progress.h"
#include "report.h"
#include "tree.h"

namespace dmap::cli {

/// Directories below each other: a path of a volume has no room for more.
inline constexpr size_t kDepthMax = 2047;

class TreeCopy {
 public:
  TreeCopy(TreeTarget& target, Report& report, ProgressLine& line) : target_(target), report_(report), line_(line) {}

  /// Copies `from` of the directory where `source` stands to the name `to` where the target stands. `shown` names the
  /// source in messages. Goes on behind what cannot be read; stops where the target can take no more.
  /// False: stopped, the target must not be used any further.
  [[nodiscard]] bool copy(TreeSource& source, const std::string& from, const std::string& to, std::string shown);

 private:
  /// A directory that is being copied: what is left of it, and what it will be given at the end.
  struct Level {
    std::vector<Name> names;
    size_t next = 0;
    Object object;
    std::vector<Xattr> xattrs;
    size_t path_size;  ///< of path_ without this directory's name
  };
  enum class End : uint8_t { kSource, kTarget };

  [[nodiscard]] Result<void> copy_object(const Name& from, const std::string& to);
  [[nodiscard]] Result<void> copy_file(const Object& object);
  [[nodiscard]] Result<void> copy_range(uint64_t begin, uint64_t end);
  [[nodiscard]] Result<void> descend(const std::string& to, const Object& object);
  [[nodiscard]] Result<void> ascend();
  void report(const Error& error);

  /// Remembers whose error a result is; only the target's end the whole copy.
  template <typename T>
  T of_target(T result) {
    end_ = result ? End::kSource : End::kTarget;
    return result;
  }

  TreeTarget& target_;
  Report& report_;
  ProgressLine& line_;
  TreeSource* source_ = nullptr;
  std::vector<Level> levels_;
  std::string path_;  ///< of the current object, for messages
  End end_ = End::kSource;
  bool stopped_ = false;
};

}  // namespace dmap::cli

#endif  // DMAP_CLI_TREE_COPY_H_
