// SPDX-License-Identifier: Apache-2.0
//
// A tree of the host, to be copied.
#ifndef DMAP_CLI_HOST_SOURCE_H_
#define DMAP_CLI_HOST_SOURCE_H_

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "host_fd.h"
#include "progress.h"
#include "tree.h"

namespace dmap::cli {

class HostSource final : public TreeSource {
 public:
  /// Stands in the directory that holds `path`'s last name, see name(). `skipped` cannot be copied: it is the volume
  /// that the copy goes to. Errors: those of opening a directory.
  [[nodiscard]] static Result<std::unique_ptr<HostSource>> open(const std::string& path, Identity skipped);

  /// What look() takes to reach `path`; `.` where the path has no last name (/, ., ..) or asks for the directory behind
  /// a symbolic link (with a slash).
  [[nodiscard]] const std::string& name() const { return name_; }

  Result<Object> look(const Name& name) override;
  Result<std::string> link_target() override;
  Result<Pieces> read(uint64_t offset, uint64_t end) override;
  Result<std::optional<DataRange>> next_data(uint64_t offset) override;
  Result<std::vector<Xattr>> xattrs() override;
  Result<std::vector<Name>> enter() override;
  Result<void> leave() override;

 private:
  HostSource(Fd directory, std::string name, Identity skipped);
  [[nodiscard]] Result<Bytes> fill_buffer(uint64_t offset, uint64_t end);

  Fd directory_;                   ///< where we stand
  std::vector<Identity> parents_;  ///< the directories above it, as far as we came down
  std::string name_;
  Identity skipped_;
  std::set<uint64_t> without_xattrs_;  ///< devices whose file system knows none

  // The current object.
  std::string current_;
  Object object_;
  Fd file_;  ///< of a regular file or directory
  std::vector<std::byte> buffer_;
  std::span<const std::byte> piece_;
};

/// Counts what a copy of these trees will move. Zeros if that cannot be found out.
[[nodiscard]] Totals measure_host(const std::vector<std::string>& paths);

}  // namespace dmap::cli

#endif  // DMAP_CLI_HOST_SOURCE_H_
