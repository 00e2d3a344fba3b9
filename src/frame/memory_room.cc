// SPDX-License-Identifier: Apache-2.0
#include "frame/memory_room.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "frame/words.h"

namespace dmap {
namespace {

namespace fs = std::filesystem;
constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();

/// The number in a file that holds just one; "max", and a file that is not there, say nothing.
std::optional<uint64_t> number_in(const fs::path& path) {
  std::ifstream file(path);
  uint64_t value = 0;
  if (file >> value) return value;
  return std::nullopt;
}

/// The number after `key` in a file of "key number" lines.
std::optional<uint64_t> number_after(const fs::path& path, std::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(key)) return std::strtoull(line.c_str() + key.size(), nullptr, 10);
  }
  return std::nullopt;
}

struct GroupFiles {
  std::vector<const char*> limits;
  const char* used;
  const char* droppable;  // the key in memory.stat
};
const GroupFiles kVersion2{{"memory.max", "memory.high"}, "memory.current", "inactive_file "};
const GroupFiles kVersion1{{"memory.limit_in_bytes"}, "memory.usage_in_bytes", "total_inactive_file "};

uint64_t room_in(const fs::path& group, const GroupFiles& names) {
  uint64_t limit = kNoLimit;
  for (const char* name : names.limits) limit = std::min(limit, number_in(group / name).value_or(kNoLimit));
  auto used = number_in(group / names.used);
  if (limit == kNoLimit || !used) return kNoLimit;
  uint64_t droppable = number_after(group / "memory.stat", names.droppable).value_or(0);
  uint64_t kept = *used - std::min(*used, droppable);
  return limit - std::min(limit, kept);
}

/// Ours and every group above it: each limits us.
uint64_t room_up_from(const fs::path& mount, fs::path group, const GroupFiles& names) {
  uint64_t room = kNoLimit;
  for (;;) {
    room = std::min(room, room_in(mount / group.relative_path(), names));
    if (!group.has_relative_path()) return room;
    group = group.parent_path();
  }
}

}  // namespace

Bytes MemoryRoom::available() const {
  uint64_t room = kNoLimit;
  if (auto kib = number_after(root_ / "proc/meminfo", "MemAvailable:")) room = *kib << 10;
  std::ifstream groups(root_ / "proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {  // hierarchy:controllers:path
    size_t first = line.find(':');
    size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    std::string controllers = line.substr(first + 1, second - first - 1);
    fs::path group = line.substr(second + 1);
    if (controllers.empty()) room = std::min(room, room_up_from(root_ / "sys/fs/cgroup", group, kVersion2));
    if (controllers == "memory") room = std::min(room, room_up_from(root_ / "sys/fs/cgroup/memory", group, kVersion1));
  }
  return Bytes{room};
}

Result<void> MemoryRoom::ask(Bytes wanted) const {
  Bytes left = available();
  if (wanted <= left) return {};
  return fail(Code::kNoMemory, "populate", in_words(wanted),
              in_words(left) + " left in the system or in a control group");
}

}  // namespace dmap
