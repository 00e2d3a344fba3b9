// SPDX-License-Identifier: Apache-2.0
#include "text.h"

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>

#include <ctime>
#include <map>

namespace dmap::cli {
namespace {

/// The length of the printable UTF-8 character at the start of `text`; 0 if there is none.
size_t printable(std::string_view text) {
  auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  unsigned lead = byte(0);
  if (lead < 0x80) return lead >= 0x20 && lead != 0x7f ? 1 : 0;
  size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  bool c1_control = lead == 0xc2 && byte(1) < 0xa0;
  bool overlong = (lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xf0 && byte(1) < 0x90);
  bool beyond = (lead == 0xed && byte(1) >= 0xa0) || (lead == 0xf4 && byte(1) >= 0x90);
  return c1_control || overlong || beyond ? 0 : length;
}

bool is_plain(std::string_view text) {
  while (!text.empty()) {
    size_t length = printable(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

/// Appends `text` with C's escapes; also before each character of `also`.
std::string with_escapes(std::string_view text, std::string_view also) {
  std::string out;
  while (!text.empty()) {
    if (size_t length = printable(text); length != 0) {
      if (also.find(text[0]) != std::string_view::npos) out.push_back('\\');
      out.append(text.substr(0, length));
      text.remove_prefix(length);
      continue;
    }
    auto byte = static_cast<unsigned char>(text[0]);
    if (byte == '\n') {
      out.append("\\n");
    } else if (byte == '\t') {
      out.append("\\t");
    } else {
      out.append(fmt::format("\\x{:02x}", byte));
    }
    text.remove_prefix(1);
  }
  return out;
}

std::tm local(Time time, int64_t& nanoseconds) {
  constexpr int64_t kSecond = 1'000'000'000;
  nanoseconds = time.nanoseconds % kSecond;
  time_t seconds = time.nanoseconds / kSecond;
  if (nanoseconds < 0) nanoseconds += kSecond, --seconds;
  std::tm parts{};
  localtime_r(&seconds, &parts);
  return parts;
}

std::string formatted(const char* format, const std::tm& parts) {
  char text[64];
  return {text, strftime(text, sizeof text, format, &parts)};
}

}  // namespace

std::string quoted(std::string_view name) {
  return is_plain(name) ? std::string(name) : fmt::format("$'{}'", with_escapes(name, "\\'"));
}

std::string escaped(std::string_view text) { return with_escapes(text, ""); }

std::string mode_string(FileType type, uint32_t permissions) {
  static constexpr char kTypes[] = {'-', 'd', 'l', 'c', 'b', 'p', 's'};
  std::string text(1, kTypes[static_cast<size_t>(type)]);
  for (int bit = 8; bit >= 0; --bit) text.push_back((permissions >> bit & 1) != 0 ? "xwr"[bit % 3] : '-');
  auto special = [&](uint32_t bit, size_t place, char with_execute, char without) {
    if ((permissions & bit) != 0) text[place] = text[place] == 'x' ? with_execute : without;
  };
  special(04000, 3, 's', 'S');
  special(02000, 6, 's', 'S');
  special(01000, 9, 't', 'T');
  return text;
}

std::string_view name_of(FileType type) {
  switch (type) {
    case FileType::kRegular: return "regular file";
    case FileType::kDirectory: return "directory";
    case FileType::kSymlink: return "symbolic link";
    case FileType::kCharDevice: return "character device";
    case FileType::kBlockDevice: return "block device";
    case FileType::kFifo: return "fifo";
    case FileType::kSocket: return "socket";
  }
  return "unknown";
}

std::string user_name(uint32_t uid) {
  static std::map<uint32_t, std::string> known;  // a look-up reads files, or asks a server
  auto [place, is_new] = known.try_emplace(uid);
  if (is_new) {
    const passwd* entry = getpwuid(uid);  // NOLINT(concurrency-mt-unsafe): one thread prints
    place->second = entry != nullptr ? escaped(entry->pw_name) : std::to_string(uid);
  }
  return place->second;
}

std::string group_name(uint32_t gid) {
  static std::map<uint32_t, std::string> known;
  auto [place, is_new] = known.try_emplace(gid);
  if (is_new) {
    const group* entry = getgrgid(gid);  // NOLINT(concurrency-mt-unsafe): likewise
    place->second = entry != nullptr ? escaped(entry->gr_name) : std::to_string(gid);
  }
  return place->second;
}

std::string short_time(Time time) {
  constexpr int64_t kHalfYear = 31'556'952 / 2;
  int64_t nanoseconds = 0;
  std::tm parts = local(time, nanoseconds);
  int64_t age = ::time(nullptr) - time.nanoseconds / 1'000'000'000;
  return formatted(age >= 0 && age < kHalfYear ? "%b %e %H:%M" : "%b %e  %Y", parts);
}

std::string full_time(Time time) {
  int64_t nanoseconds = 0;
  std::tm parts = local(time, nanoseconds);
  return fmt::format("{}.{:09} {}", formatted("%Y-%m-%d %H:%M:%S", parts), nanoseconds, formatted("%z", parts));
}

}  // namespace dmap::cli
