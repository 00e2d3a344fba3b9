// SPDX-License-Identifier: Apache-2.0
//
// A descriptor of the host that closes itself, and what both ends of a copy on the host need.
#ifndef DMAP_CLI_HOST_FD_H_
#define DMAP_CLI_HOST_FD_H_

#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <utility>

#include "dmap/options.h"
#include "dmap/result.h"
#include "tree.h"

namespace dmap::cli {

/// An open descriptor, or none. Move-only.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int number) : number_(number) {}
  Fd(Fd&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    reset();
    number_ = std::exchange(other.number_, -1);
    return *this;
  }
  ~Fd() { reset(); }

  [[nodiscard]] int get() const { return number_; }
  explicit operator bool() const { return number_ >= 0; }
  /// Gives it up without closing it.
  int release() { return std::exchange(number_, -1); }
  void reset() {
    if (number_ >= 0) ::close(number_);
    number_ = -1;
  }

 private:
  int number_ = -1;
};

/// The failure that errno names; the caller's messages say where.
[[nodiscard]] std::unexpected<Error> fail_errno(std::string_view operation, std::string_view detail = {});

[[nodiscard]] FileType type_of(mode_t mode);
/// The S_IF... bits.
[[nodiscard]] mode_t mode_of(FileType type);
[[nodiscard]] Time time_of(const timespec& time);
[[nodiscard]] timespec timespec_of(Time time);
[[nodiscard]] Identity identity_of(const struct stat& status);

/// A path to `name` in an open directory, for calls that know no descriptors.
[[nodiscard]] std::string proc_path(const Fd& directory, std::string_view name);

/// Opens the directory above the one that is `directory`, which must still be the one that we came through.
/// Errors: io (somebody moved the directory meanwhile).
[[nodiscard]] Result<Fd> open_parent(const Fd& directory, Identity expected);

}  // namespace dmap::cli

#endif  // DMAP_CLI_HOST_FD_H_
