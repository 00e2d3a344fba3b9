// SPDX-License-Identifier: Apache-2.0
#include "device/memory_room.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>

#include "device/text.h"

namespace dmap {
namespace {

constexpr Bytes kUnlimited{std::numeric_limits<uint64_t>::max()};

/// The number that a file holds; none if it is absent or says "max".
std::optional<uint64_t> read_number(const std::string& path) {
  std::ifstream file(path);
  uint64_t number = 0;
  if (!(file >> number)) return std::nullopt;
  return number;
}

/// The number after `key` in a file of "key number" lines.
std::optional<uint64_t> read_field(const std::string& path, std::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.size() > key.size() && line.starts_with(key) && (line[key.size()] == ' ')) {
      return std::stoull(line.substr(key.size()));
    }
  }
  return std::nullopt;
}

/// The names of one control-group version's files.
struct GroupFiles {
  const char* limit;
  const char* usage;
  const char* inactive_file;  // fields of memory.stat
  const char* active_file;
};
constexpr GroupFiles kVersion1{"/memory.limit_in_bytes", "/memory.usage_in_bytes", "total_inactive_file",
                               "total_active_file"};
constexpr GroupFiles kVersion2{"/memory.max", "/memory.current", "inactive_file", "active_file"};

/// A group's limit, less what it uses beyond file cache (tmpfs is no file cache in this account).
std::optional<Bytes> group_room(const std::string& group, const GroupFiles& files) {
  auto limit = read_number(group + files.limit);
  auto usage = read_number(group + files.usage);
  if (!limit || !usage) return std::nullopt;
  std::string stat = group + "/memory.stat";
  uint64_t cache = read_field(stat, files.inactive_file).value_or(0) + read_field(stat, files.active_file).value_or(0);
  uint64_t taken = *usage - std::min(cache, *usage);
  return Bytes{*limit - std::min(taken, *limit)};
}

/// Narrows `room` by the group at `path` below `mount`, and by every group around it.
void narrow(MemoryRoom& room, const std::string& mount, std::string path, const GroupFiles& files) {
  for (;;) {
    if (auto available = group_room(mount + path, files); available && *available < room.available) {
      room = {*available, "the memory control group " + (path.empty() ? "/" : path)};
    }
    if (path.empty()) return;
    path.resize(path.find_last_of('/') == std::string::npos ? 0 : path.find_last_of('/'));
  }
}

}  // namespace

MemoryRoom memory_room(const std::string& root) {
  MemoryRoom room{kUnlimited, "nothing"};
  if (auto kib = read_field(root + "/proc/meminfo", "MemAvailable:")) room = {Bytes{*kib << 10}, "MemAvailable"};
  std::ifstream groups(root + "/proc/self/cgroup");  // lines like "4:memory:/path" and, for version 2, "0::/path"
  for (std::string line; std::getline(groups, line);) {
    size_t controllers = line.find(':');
    size_t path_at = controllers == std::string::npos ? controllers : line.find(':', controllers + 1);
    if (path_at == std::string::npos) continue;
    std::string names = "," + line.substr(controllers + 1, path_at - controllers - 1) + ",";
    std::string path = line.substr(path_at + 1);
    if (path == "/") path.clear();
    if (names.find(",memory,") != std::string::npos) narrow(room, root + "/sys/fs/cgroup/memory", path, kVersion1);
    if (line.starts_with("0::")) narrow(room, root + "/sys/fs/cgroup", path, kVersion2);
  }
  return room;
}

Result<void> check_memory_room(Bytes wanted, const MemoryRoom& room, std::string_view operation,
                               std::string_view object) {
  Bytes usable = room.available - Bytes{room.available.value / 16};
  if (wanted <= usable) return {};
  return fail(Code::kNoMemory, operation, object,
              text_of(wanted) + " of memory asked, " + text_of(usable) + " may be filled as " + room.limited_by +
                  " has it, where a sixteenth is left to others");
}

}  // namespace dmap
