// SPDX-License-Identifier: Apache-2.0
#include "base/memory_room.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <limits>
#include <optional>
#include <span>

#include "base/text.h"

namespace dmap {
namespace {

namespace fs = std::filesystem;
constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();

/// The number that a file holds; none if it is absent or says "max".
std::optional<uint64_t> number_in(const fs::path& path) {
  std::ifstream file(path);
  uint64_t number = 0;
  if (!(file >> number)) return std::nullopt;
  return number;
}

/// The number after `key` and a blank or colon in a file of such lines.
std::optional<uint64_t> number_after(const fs::path& path, std::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key) || line.size() == key.size()) continue;
    if (line[key.size()] == ' ' || line[key.size()] == ':') {
      return std::strtoull(line.c_str() + key.size() + 1, nullptr, 10);
    }
  }
  return std::nullopt;
}

/// The names of one control-group version's files.
struct GroupFiles {
  std::span<const char* const> limits;
  const char* usage;
  const char* inactive_file;  // fields of memory.stat
  const char* active_file;
};
constexpr std::array kLimits1{"memory.limit_in_bytes"};
constexpr std::array kLimits2{"memory.max", "memory.high"};
constexpr GroupFiles kVersion1{kLimits1, "memory.usage_in_bytes", "total_inactive_file", "total_active_file"};
constexpr GroupFiles kVersion2{kLimits2, "memory.current", "inactive_file", "active_file"};

/// A group's limit, less what it uses beyond file cache (tmpfs is no file cache in this account).
uint64_t room_in(const fs::path& group, const GroupFiles& files) {
  uint64_t limit = kNoLimit;
  for (const char* name : files.limits) limit = std::min(limit, number_in(group / name).value_or(kNoLimit));
  auto usage = number_in(group / files.usage);
  if (limit == kNoLimit || !usage) return kNoLimit;
  fs::path stat = group / "memory.stat";
  uint64_t cache =
      number_after(stat, files.inactive_file).value_or(0) + number_after(stat, files.active_file).value_or(0);
  uint64_t taken = *usage - std::min(cache, *usage);
  return limit - std::min(taken, limit);
}

/// Narrows `left` by `group` below `mount`, and by every group around it: each limits us.
void narrow(MemoryRoom::Left& left, const fs::path& mount, fs::path group, const GroupFiles& files) {
  for (;; group = group.parent_path()) {
    uint64_t room = room_in(mount / group.relative_path(), files);
    if (room < left.available.value) left = {Bytes{room}, "the memory control group " + group.string()};
    if (!group.has_relative_path()) return;
  }
}

}  // namespace

MemoryRoom::Left MemoryRoom::left() const {
  Left left{Bytes{kNoLimit}, "nothing"};
  if (auto kib = number_after(root_ / "proc/meminfo", "MemAvailable")) left = {Bytes{*kib << 10}, "MemAvailable"};
  std::ifstream groups(root_ / "proc/self/cgroup");  // lines like "4:memory:/path" and, for version 2, "0::/path"
  for (std::string line; std::getline(groups, line);) {
    size_t first = line.find(':');
    size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    fs::path group = line.substr(second + 1);
    if (controllers.find(",memory,") != std::string::npos)
      narrow(left, root_ / "sys/fs/cgroup/memory", group, kVersion1);
    if (controllers == ",,") narrow(left, root_ / "sys/fs/cgroup", group, kVersion2);
  }
  return left;
}

Result<void> MemoryRoom::ask(Bytes wanted, std::string_view operation, std::string_view object) const {
  Left left = this->left();
  Bytes usable = left.available - Bytes{left.available.value / 16};
  if (wanted <= usable) return {};
  return fail(Code::kNoMemory, operation, object,
              text_of(wanted) + " of memory asked, " + text_of(usable) + " may be filled as " + left.limited_by +
                  " has it, where a sixteenth is left to others");
}

}  // namespace dmap
