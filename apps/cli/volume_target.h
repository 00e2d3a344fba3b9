// SPDX-License-Identifier: Apache-2.0
//
// A directory of a volume that a tree is copied into.
#ifndef DMAP_CLI_VOLUME_TARGET_H_
#define DMAP_CLI_VOLUME_TARGET_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "dmap/volume.h"
#include "tree.h"

namespace dmap::cli {

class VolumeTarget final : public TreeTarget {
 public:
  /// Stands in `directory`. The volume must outlive it.
  VolumeTarget(Volume& volume, InodeNumber directory) : volume_(volume), directories_{directory} {}

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

 private:
  [[nodiscard]] At here(const std::string& name) const { return {directories_.back(), name}; }
  [[nodiscard]] Result<void> make(const std::string& name, const Object& object, std::string_view link_target);
  [[nodiscard]] Result<void> check_replaceable(const std::string& name) const;
  [[nodiscard]] Result<void> set_xattrs(InodeNumber inode, const std::vector<Xattr>& xattrs);

  Volume& volume_;
  std::vector<InodeNumber> directories_;    ///< where we stand, and the way there
  std::map<Identity, InodeNumber> linked_;  ///< objects with several names that came by

  // The object that was begun: under its own name, or under one that it has until it is complete.
  InodeNumber current_{};
  std::optional<File> file_;
  std::string name_;
  std::string name_now_;
};

/// Where a copy to `path` goes, as with cp -a: into an existing directory, else to that name in its parent.
struct VolumePlace {
  InodeNumber directory{};
  std::string name;  ///< in `directory`; empty: the name that the source has
};
[[nodiscard]] Result<VolumePlace> find_place(const Volume& volume, const std::string& path);

}  // namespace dmap::cli

#endif  // DMAP_CLI_VOLUME_TARGET_H_
