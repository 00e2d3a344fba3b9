// SPDX-License-Identifier: Apache-2.0
#include "sizes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace dmap::cli {
namespace {

constexpr std::string_view kPrefixes = "KMGTP";
constexpr uint64_t kSizeLimit = uint64_t{1} << 63;

/// What one of the unit is in bytes.
std::optional<uint64_t> factor_of(std::string unit) {
  std::ranges::transform(unit, unit.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  if (unit.empty() || unit == "B") return 1;
  size_t power = kPrefixes.find(unit[0]);
  if (power == std::string_view::npos) return std::nullopt;
  std::string_view rest = std::string_view(unit).substr(1);
  if (!rest.empty() && rest != "B" && rest != "IB") return std::nullopt;
  uint64_t factor = 1;
  for (size_t step = 0; step <= power; ++step) factor *= rest == "B" ? 1000 : 1024;
  return factor;
}

}  // namespace

Result<Bytes> parse_size(std::string_view text) {
  uint64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  auto factor = factor_of(std::string(end, text.data() + text.size()));
  if (error == std::errc::invalid_argument || !factor) {
    return fail(Code::kInvalid, "size", text, "write it as 4096, 64K, 64M, 64MiB, 1G, 1T, or 1GB for decimal units");
  }
  uint64_t bytes = 0;
  if (error == std::errc::result_out_of_range || __builtin_mul_overflow(number, *factor, &bytes) ||
      bytes >= kSizeLimit) {
    return fail(Code::kInvalid, "size", text, "too large: sizes stay below 8192P");
  }
  return Bytes{bytes};
}

std::string show_size(Bytes size) {
  if (size < 1_KiB) return fmt::format("{} B", size.value);
  auto number = static_cast<double>(size.value) / 1024;
  size_t power = 0;
  // 1023.95 would print as 1024.0.
  for (; number >= 1023.95 && power + 1 < kPrefixes.size(); ++power) number /= 1024;
  return fmt::format("{:.1f} {}iB", number, kPrefixes[power]);
}

}  // namespace dmap::cli
