// SPDX-License-Identifier: Apache-2.0
//
// How names, modes, owners and times look on a terminal.
#ifndef DMAP_CLI_TEXT_H_
#define DMAP_CLI_TEXT_H_

#include <string>
#include <string_view>

#include "dmap/options.h"

namespace dmap::cli {

/// The name itself; or, where it holds what could drive a terminal (control characters, bytes that are not UTF-8), the
/// name as a shell would take it back: $'a\nb'.
[[nodiscard]] std::string quoted(std::string_view name);

/// `text` with what could drive a terminal as \n or \x1b, and nothing around it: for messages.
[[nodiscard]] std::string escaped(std::string_view text);

/// `-rw-r--r--`, as ls shows it.
[[nodiscard]] std::string mode_string(FileType type, uint32_t permissions);

/// `regular file`, `directory`, ...
[[nodiscard]] std::string_view name_of(FileType type);

/// The host's name for a user or group; its number where there is none.
[[nodiscard]] std::string user_name(uint32_t uid);
[[nodiscard]] std::string group_name(uint32_t gid);

/// As ls does: hour and minute for the last six months, the year for the rest; local time.
[[nodiscard]] std::string short_time(Time time);
/// `2026-01-31 12:00:00.123456789 +0100`.
[[nodiscard]] std::string full_time(Time time);

}  // namespace dmap::cli

#endif  // DMAP_CLI_TEXT_H_
