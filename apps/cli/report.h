// SPDX-License-Identifier: Apache-2.0
//
// How a command tells what went wrong, and what it exits with.
#ifndef DMAP_CLI_REPORT_H_
#define DMAP_CLI_REPORT_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "dmap/result.h"
#include "progress.h"

namespace dmap::cli {

inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;

/// Writes `dmap: put /a/b: no_space (...)` to standard error and remembers that something failed.
class Report {
 public:
  explicit Report(std::string_view command, ProgressLine* line = nullptr) : command_(command), line_(line) {}

  /// The failure as this command met it, at `object` (a host path or VOLUME:/path). `advice` says what to do about it.
  void failure(const Error& error, std::string_view object, std::string_view advice = {});
  /// Something worth knowing that is no failure.
  void note(std::string_view text);
  /// The arguments make no sense: says so, and names the help. Returns the exit code for it.
  [[nodiscard]] int usage(std::string_view text);

  [[nodiscard]] bool failed() const { return failures_ != 0; }
  [[nodiscard]] int exit_code() const { return failed() ? kExitFailed : kExitDone; }

 private:
  void print(std::string_view text);

  std::string command_;
  ProgressLine* line_;
  uint64_t failures_ = 0;
};

}  // namespace dmap::cli

#endif  // DMAP_CLI_REPORT_H_
