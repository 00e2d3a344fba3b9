// SPDX-License-Identifier: Apache-2.0
#include "device/medium.h"

#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <fstream>
#include <optional>

#include "base/text.h"
#include "device/persist.h"

namespace dmap {
namespace {

struct FileSystem {
  uint32_t magic;  // of statfs(2)
  const char* name;
  bool memory = false;
};
constexpr uint32_t kHugetlbfsMagic = 0x958458f6;
constexpr std::array kFileSystems{
    FileSystem{.magic = 0x01021994, .name = "tmpfs", .memory = true},
    FileSystem{.magic = 0x858458f6, .name = "ramfs", .memory = true},
    FileSystem{.magic = kHugetlbfsMagic, .name = "hugetlbfs", .memory = true},
    FileSystem{.magic = 0xef53, .name = "ext4"},
    FileSystem{.magic = 0x58465342, .name = "XFS"},
    FileSystem{.magic = 0x9123683e, .name = "Btrfs"},
    FileSystem{.magic = 0xf2f52010, .name = "F2FS"},
    FileSystem{.magic = 0x2fc12fc1, .name = "ZFS"},
    FileSystem{.magic = 0x794c7630, .name = "overlayfs"},
    FileSystem{.magic = 0x6969, .name = "NFS"},
    FileSystem{.magic = 0x65735546, .name = "FUSE"},
    FileSystem{.magic = 0x01021997, .name = "9p"},
};

FileSystem file_system_of(uint32_t magic) {
  for (const FileSystem& known : kFileSystems) {
    if (known.magic == magic) return known;
  }
  return {.magic = magic, .name = "an unknown file system"};
}

std::optional<int64_t> read_number(const std::string& path) {
  std::ifstream file(path);
  int64_t number = 0;
  if (!(file >> number)) return std::nullopt;
  return number;
}

/// Where a symbolic link leads, in full; empty if nowhere.
std::string real_path(const std::string& path) {
  std::array<char, PATH_MAX> resolved{};
  return ::realpath(path.c_str(), resolved.data()) != nullptr ? std::string(resolved.data()) : std::string();
}

Result<Medium> identify_file(int fd, Bytes size, std::string_view operation, std::string_view path) {
  struct statfs status{};
  if (::fstatfs(fd, &status) != 0) return std::unexpected(Error::from_errno(errno, operation, path));
  auto magic = static_cast<uint32_t>(status.f_type);
  FileSystem file_system = file_system_of(magic);
  Medium medium;
  medium.kind = file_system.memory ? Medium::Kind::kMemoryFile : Medium::Kind::kStoredFile;
  medium.file_system = file_system.name;
  medium.size = size;
  if (magic == kHugetlbfsMagic) medium.grain = Bytes{static_cast<uint64_t>(status.f_bsize)};
  return medium;
}

void set_memory_file(Traits& traits, const Medium& medium, Bytes page_size) {
  traits.dma_target = DmaTarget::kLong;
  traits.medium = "file on " + medium.file_system + " (memory, " + text_of(page_size) + " pages)";
  traits.promise = "memory: what returned survives a killed process; nothing survives a reboot or a power cut";
}

void set_line_flushed(Traits& traits) {
  traits.durable = true;
  traits.persistence = Persistence::kLineFlush;
  traits.promise = "persistent memory: what returned survives a killed process, a reboot and a power cut";
}

void set_synced(Traits& traits) {
  traits.durable = true;
  traits.persistence = Persistence::kSync;
  // The page cache is read and written back in frames.
  traits.transaction = kFrameSize;
  traits.promise =
      "a file in the kernel's page cache: what returned survives a killed process; a power cut keeps what was synced";
}

}  // namespace

Result<Medium> identify(int fd, std::string_view operation, std::string_view path) {
  struct stat status{};
  if (::fstat(fd, &status) != 0) return std::unexpected(Error::from_errno(errno, operation, path));
  switch (status.st_mode & S_IFMT) {
    case S_IFREG: return identify_file(fd, Bytes{static_cast<uint64_t>(status.st_size)}, operation, path);
    case S_IFCHR: return identify_device_dax(status.st_rdev, "/sys", operation, path);
    case S_IFDIR: return fail(Code::kIsDirectory, operation, path, "a device is a file or a device node");
    case S_IFBLK:
      return fail(Code::kNotSupported, operation, path,
                  "block devices are not supported yet; a file on a file system there is");
    default: return fail(Code::kNotSupported, operation, path, "neither a file nor device DAX");
  }
}

// The kernel's drivers/dax/bus.c: the node's number leads to the device, whose attributes are `size` and `align`
// (`device/align` before Linux 5.10), in bytes, and `numa_node`.
Result<Medium> identify_device_dax(dev_t number, const std::string& sysfs, std::string_view operation,
                                   std::string_view path) {
  std::string node = sysfs + "/dev/char/" + std::to_string(major(number)) + ":" + std::to_string(minor(number));
  std::string subsystem = real_path(node + "/subsystem");
  auto size = read_number(node + "/size");
  if (!subsystem.ends_with("/dax") || !size || *size < 0) {
    return fail(Code::kNotSupported, operation, path, "a character device that is not device DAX");
  }
  auto align = read_number(node + "/align");
  if (!align) align = read_number(node + "/device/align");
  Medium medium;
  medium.kind = Medium::Kind::kDeviceDax;
  medium.size = Bytes{static_cast<uint64_t>(*size)};
  medium.grain = Bytes{static_cast<uint64_t>(align.value_or(int64_t{2} << 20))};
  medium.numa_node = static_cast<int>(read_number(node + "/numa_node").value_or(-1));
  // Persistent memory hangs off an NVDIMM bus; memory that firmware set aside and CXL's volatile regions do not.
  medium.persistent = real_path(node).find("/ndbus") != std::string::npos;
  return medium;
}

Result<Traits> traits_of(const Medium& medium, FrameCount frames, bool synchronous, Bytes page_size,
                         std::string_view path) {
  const bool can_flush_lines = best_line_write_back() != LineWriteBack::kNone;
  Traits traits;
  traits.frames = traits.frames_max = traits.cpu_mapped = frames;
  traits.load_in_place = true;
  traits.map_grain = medium.grain;
  traits.page_size = page_size;
  traits.numa_node = medium.numa_node;
  switch (medium.kind) {
    case Medium::Kind::kMemoryFile: set_memory_file(traits, medium, page_size); break;
    case Medium::Kind::kStoredFile:
      // Linux refuses FOLL_LONGTERM on fs-DAX, and since 6.5 on writable mappings of files that track dirty pages.
      traits.dma_target = DmaTarget::kShort;
      traits.medium = "file on " + (synchronous ? medium.file_system + ", fs-DAX (MAP_SYNC)" : medium.file_system);
      synchronous&& can_flush_lines ? set_line_flushed(traits) : set_synced(traits);
      break;
    case Medium::Kind::kDeviceDax:
      traits.dma_target = DmaTarget::kLong;
      if (!medium.persistent) {
        traits.medium = "device DAX (volatile memory)";
        traits.promise = "memory: what returned survives a killed process; nothing survives a power cut";
        break;
      }
      if (!can_flush_lines) {
        return fail(Code::kNotSupported, "open", path, "no way known to write cache lines back on this CPU");
      }
      traits.medium = "device DAX";
      set_line_flushed(traits);
      break;
  }
  return traits;
}

}  // namespace dmap
