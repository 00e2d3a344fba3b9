// SPDX-License-Identifier: Apache-2.0
#include "report.h"

#include <fmt/format.h>

#include <cstdio>

#include "text.h"

namespace dmap::cli {

void Report::print(std::string_view text) {
  if (line_ != nullptr) line_->clear();
  std::fflush(stdout);  // so that messages stand where they belong when both go to one place
  fmt::print(stderr, "dmap: {}\n", escaped(text));
}

void Report::failure(const Error& error, std::string_view object, std::string_view advice) {
  std::string detail(error.detail());
  // The library may have failed at something else than what the user named: keep what it says.
  if (!error.object().empty() && error.object() != object && object.find(error.object()) == std::string_view::npos) {
    detail = fmt::format("{}{}{}{}{}", error.operation(), error.operation().empty() ? "" : " ", error.object(),
                         detail.empty() ? "" : ": ", detail);
  }
  if (!advice.empty()) detail += fmt::format("{}{}", detail.empty() ? "" : "; ", advice);
  print(Error(error.code(), command_, object, detail).message());
  ++failures_;
}

void Report::note(std::string_view text) { print(fmt::format("{}: {}", command_, text)); }

int Report::usage(std::string_view text) {
  print(fmt::format("{}: {}; see dmap {} --help", command_, text, command_));
  return kExitUsage;
}

}  // namespace dmap::cli
