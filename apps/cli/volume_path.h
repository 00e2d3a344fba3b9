// SPDX-License-Identifier: Apache-2.0
//
// VOLUME:/path: a place in a volume, as the command line names it; and the volumes that a command has open.
#ifndef DMAP_CLI_VOLUME_PATH_H_
#define DMAP_CLI_VOLUME_PATH_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dmap/options.h"
#include "dmap/result.h"
#include "dmap/volume.h"

namespace dmap::cli {

/// A place in a volume.
struct VolumePath {
  std::string volume;  ///< the host's path of the volume
  std::string path;    ///< begins with '/'

  [[nodiscard]] std::string shown() const { return volume + ":" + path; }
  /// The path's last name; `.` for the root.
  [[nodiscard]] std::string_view name() const;
  /// The path without its last name.
  [[nodiscard]] std::string_view parent() const;
};

/// Splits VOLUME:/path. A volume's own path may hold ":/" too, so the split is at the first ":/" that follows the name
/// of a file (or device) that is there; if none does, at the last one. Errors: invalid.
[[nodiscard]] Result<VolumePath> parse_volume_path(std::string_view text);

/// The same for each of them; the first error wins.
[[nodiscard]] Result<std::vector<VolumePath>> parse_volume_paths(const std::vector<std::string>& texts);

/// The last name of a host's or a volume's path, without slashes behind it; empty for "/".
[[nodiscard]] std::string_view last_name(std::string_view path);

/// The file on the host that a volume (or anything else) is; zeros if there is none.
struct HostFile {
  uint64_t device = 0;
  uint64_t inode = 0;
  friend bool operator==(HostFile, HostFile) = default;
};
[[nodiscard]] HostFile host_file(const std::string& path);

/// The volumes that a command works on, each opened once, whatever it is called. One thread.
class OpenVolumes {
 public:
  explicit OpenVolumes(Access access) : access_(access) {}

  /// The pointer stays good until close(). Errors: those of Volume::open.
  [[nodiscard]] Result<Volume*> open(const std::string& path) { return open(path, access_); }
  [[nodiscard]] Result<Volume*> open(const std::string& path, Access access);

  /// Closes all of them; the first error wins.
  [[nodiscard]] Result<void> close();

 private:
  struct Entry {
    HostFile file;
    std::unique_ptr<Volume> volume;
  };
  Access access_;
  std::vector<Entry> entries_;
};

/// Everything a directory holds, in the volume's order.
[[nodiscard]] Result<std::vector<DirectoryEntry>> list_directory(const Volume& volume, InodeNumber directory);

/// Who a new object belongs to if it has no model: the user who runs the command; `permissions` under the umask.
[[nodiscard]] Ownership ownership_of_user(uint32_t permissions);

}  // namespace dmap::cli

#endif  // DMAP_CLI_VOLUME_PATH_H_
