// SPDX-License-Identifier: Apache-2.0
//
// A tree of a volume, to be copied; and how the command reads a file of a volume.
#ifndef DMAP_CLI_VOLUME_SOURCE_H_
#define DMAP_CLI_VOLUME_SOURCE_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dmap/volume.h"
#include "progress.h"
#include "tree.h"

namespace dmap::cli {

/// Reads files in place where that pays, through a buffer where it does not (small files, and files in so many pieces
/// that a view of them would go over the volume's budget). One thread.
class InPlaceReader {
 public:
  /// As TreeSource::read(): some bytes of [offset, end), or nothing at the end of the file.
  [[nodiscard]] Result<Pieces> read(const File& file, uint64_t offset, uint64_t end);
  /// Lets go of what was read last. Must be done before the volume is closed.
  void drop() { view_.reset(); }

 private:
  std::optional<View> view_;
  std::vector<std::byte> buffer_;
  std::span<const std::byte> piece_;
};

class VolumeSource final : public TreeSource {
 public:
  /// Stands in `directory`. The volume must outlive it.
  VolumeSource(Volume& volume, InodeNumber directory) : volume_(volume), directories_{directory} {}

  Result<Object> look(const Name& name) override;
  Result<std::string> link_target() override;
  Result<Pieces> read(uint64_t offset, uint64_t end) override;
  Result<std::optional<DataRange>> next_data(uint64_t offset) override;
  Result<std::vector<Xattr>> xattrs() override;
  Result<std::vector<Name>> enter() override;
  Result<void> leave() override;

 private:
  Volume& volume_;
  std::vector<InodeNumber> directories_;  ///< where we stand, and the way there
  InodeNumber current_{};
  InPlaceReader reader_;
  std::optional<File> file_;  ///< the current object, if it is a regular file
};

/// Counts what a copy of the tree at `at` will move; zeros if that cannot be found out.
[[nodiscard]] Totals measure_volume(const Volume& volume, At at);

}  // namespace dmap::cli

#endif  // DMAP_CLI_VOLUME_SOURCE_H_
