// SPDX-License-Identifier: Apache-2.0
//
// A directory of the host that a tree is copied into.
#ifndef DMAP_CLI_HOST_TARGET_H_
#define DMAP_CLI_HOST_TARGET_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "host_fd.h"
#include "tree.h"

namespace dmap::cli {

class HostTarget final : public TreeTarget {
 public:
  /// Stands in the directory `path`. `kept` is never replaced: it is the volume that the copy comes from.
  [[nodiscard]] static Result<std::unique_ptr<HostTarget>> open(const std::string& path, Identity kept);

  Result<bool> link_known(const Object& object, const std::string& name) override;
  Result<void> create(const std::string& name, const Object& object, std::string_view link_target) override;
  Result<void> write(std::span<const std::byte> bytes, uint64_t offset) override;
  Result<void> set_size(Bytes size) override;
  Result<void> finish(const Object& object, const std::vector<Xattr>& xattrs) override;
  void abandon() override;
  Result<void> enter(const std::string& name, const Object& object) override;
  Result<void> finish_directory(const Object& object, const std::vector<Xattr>& xattrs) override;
  Result<void> leave() override;
  [[nodiscard]] std::string advice(const Error& error) const override;

  /// Extended attributes that the host would not take.
  [[nodiscard]] uint64_t lost_xattrs() const { return lost_xattrs_; }

 private:
  struct Level {
    Identity parent;
    size_t path_size;  ///< of path_ in the parent
    bool is_same;      ///< entered as `.`
  };
  HostTarget(Fd root, Fd directory, Identity kept);
  [[nodiscard]] Result<void> make(const std::string& name, const Object& object, std::string_view link_target);
  [[nodiscard]] Result<void> check_replaceable(const std::string& name, FileType type) const;
  [[nodiscard]] Result<void> set_attributes(const Fd& object, const std::string& name, const Object& attributes,
                                            const std::vector<Xattr>& xattrs);
  [[nodiscard]] std::string path_to(const std::string& name) const;

  Fd root_;  ///< where the first names are, for hard links
  Fd directory_;
  std::string path_;  ///< from the root to where we stand
  std::vector<Level> levels_;
  std::map<Identity, std::string> linked_;  ///< objects with several names that came by, as paths from the root
  Identity kept_;
  bool may_chown_;
  uint64_t lost_xattrs_ = 0;

  // The object that was begun: under its own name, or under one that it has until it is complete.
  Fd file_;
  std::string name_;
  std::string name_now_;
};

}  // namespace dmap::cli

#endif  // DMAP_CLI_HOST_TARGET_H_
