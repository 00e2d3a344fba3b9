// SPDX-License-Identifier: Apache-2.0
//
// The demonstration's report: a line per fact, and what did not hold.
#ifndef DMAP_DEMO_FACTS_H_
#define DMAP_DEMO_FACTS_H_

#include <fmt/format.h>

#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dmap/types.h"

namespace dmap::demo {

inline constexpr double kMega = 1e6;

inline std::string show(Bytes size) {
  auto bytes = static_cast<double>(size.value);
  if (size < 1_KiB) return fmt::format("{} B", size.value);
  if (size < 1_MiB) return fmt::format("{:.1f} KiB", bytes / 1024);
  if (size < 1_GiB) return fmt::format("{:.1f} MiB", bytes / 1024 / 1024);
  return fmt::format("{:.2f} GiB", bytes / 1024 / 1024 / 1024);
}

inline std::string rate(Bytes size, double seconds) {
  return seconds > 0 ? fmt::format("{:.0f} MB/s", static_cast<double>(size.value) / kMega / seconds) : "-";
}

class Facts {
 public:
  void heading(std::string_view text) {
    fmt::print("\n{}\n", text);
    heading_ = text;
  }

  void fact(std::string_view name, const std::string& value) {
    fmt::print("  {:<26} {}\n", name, value);
    std::fflush(stdout);
    facts_.emplace_back(fmt::format("{}: {}", heading_, name), value);
  }

  /// A statement that must hold for the demonstration to succeed.
  void claim(std::string_view name, bool holds, const std::string& value) {
    fact(name, fmt::format("{}{}", holds ? "" : "NO: ", value));
    failed_ = failed_ || !holds;
  }

  [[nodiscard]] bool failed() const { return failed_; }

  /// All facts as one JSON object of strings. False: the file could not be written.
  [[nodiscard]] bool write_json(const std::string& path) const {
    std::FILE* file = std::fopen(path.c_str(), "w");
    if (file == nullptr) return false;
    fmt::print(file, "{{");
    for (const char* separator = "\n"; const auto& [name, value] : facts_) {
      fmt::print(file, "{}  \"{}\": \"{}\"", std::exchange(separator, ",\n"), escaped(name), escaped(value));
    }
    fmt::print(file, "\n}}\n");
    return std::fclose(file) == 0;
  }

 private:
  static std::string escaped(std::string_view text) {
    std::string out;
    for (char c : text) {
      if (c == '"' || c == '\\') out.push_back('\\');
      out.append(static_cast<unsigned char>(c) < 0x20 ? fmt::format("\\u{:04x}", c) : std::string(1, c));
    }
    return out;
  }

  std::string heading_;
  std::vector<std::pair<std::string, std::string>> facts_;
  bool failed_ = false;
};

}  // namespace dmap::demo

#endif  // DMAP_DEMO_FACTS_H_
