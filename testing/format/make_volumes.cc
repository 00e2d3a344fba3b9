// SPDX-License-Identifier: Apache-2.0
//
// Makes volumes for format_test.py: after each stage a copy of the volume's file, and beside it what dmap's API says it
// holds. Copying a file under a live volume takes what a killed process would leave.
//
//   make_volumes FOLDER     NAME.dmap, NAME.facts (lines as read_volume.py prints them), NAME.contents (of each
//                           file and link: a line with its inode and size, then its bytes)
#include <sys/sysmacros.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "device/file_device.h"
#include "dmap/volume.h"
#include "testing/support/random.h"

namespace dmap::testing {
namespace {

constexpr const char* kTypeNames[] = {"file", "directory", "symlink", "chardev", "blockdev", "fifo", "socket"};

std::span<const std::byte> bytes_of_text(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string hex(std::span<const std::byte> bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (std::byte byte : bytes)
    text.append({kDigits[std::to_integer<int>(byte) >> 4], kDigits[std::to_integer<int>(byte) & 15]});
  return text;
}

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text.append(text.empty() ? "" : ",").append(part);
  return text.empty() ? "-" : text;
}

AttributeChanges permissions(uint32_t bits) {
  AttributeChanges changes;
  changes.permissions = bits;
  return changes;
}

/// Writes what the API says of a volume.
class Dump {
 public:
  Dump(Volume& volume, const std::string& name) : volume_(volume), name_(name) {}

  Result<void> write() {
    contents_.open(name_ + ".contents", std::ios::binary);
    DMAP_TRY(visit("/"));
    std::ranges::sort(lines_);
    std::ofstream out(name_ + ".facts");
    for (const std::string& line : lines_) out << line << '\n';
    return {};
  }

 private:
  Result<void> visit(const std::string& path) {
    Stat stat = DMAP_TRY(volume_.stat(path, Follow::kNo));
    std::vector<std::string> extents;
    std::string content;
    if (stat.type == FileType::kSymlink) content = DMAP_TRY(volume_.read_link(path));
    if (stat.type == FileType::kRegular) {
      File file = DMAP_TRY(volume_.open_file(path));
      content.resize(stat.size.value);
      DMAP_TRY(file.read_at(std::as_writable_bytes(std::span(content)), 0));
      for (const auto& fragment : DMAP_TRY(file.extents(0, SIZE_MAX))) {
        extents.push_back(std::to_string(fragment.offset.value >> kFrameShift) + ":" +
                          std::to_string(index_of(fragment.extent.first)) + ":" +
                          std::to_string(fragment.extent.count.value) + (fragment.written ? ":w" : ":u"));
      }
    }
    std::vector<std::string> xattrs;
    for (const std::string& name : DMAP_TRY(volume_.list_xattrs(path, Follow::kNo))) {
      auto value = DMAP_TRY(volume_.get_xattr(path, name, Follow::kNo));
      xattrs.push_back(hex(bytes_of_text(name)) + "=" + hex(value));
    }
    std::ranges::sort(xattrs);
    char permissions[8];
    std::snprintf(permissions, sizeof permissions, "%o", stat.permissions);
    std::string number = std::to_string(static_cast<uint64_t>(stat.inode));
    lines_.push_back(hex(bytes_of_text(path)) + "\t" + number + "\t" + kTypeNames[static_cast<int>(stat.type)] + "\t" +
                     permissions + "\t" + std::to_string(stat.uid) + ":" + std::to_string(stat.gid) + "\t" +
                     std::to_string(stat.links) + "\t" + std::to_string(stat.size.value) + "\t" +
                     std::to_string(stat.device) + "\t" + std::to_string(stat.modified.nanoseconds) + "\t" +
                     std::to_string(stat.born.nanoseconds) + "\t" + joined(extents) + "\t" + joined(xattrs));
    contents_ << number << ' ' << content.size() << '\n' << content;
    if (stat.type != FileType::kDirectory) return {};
    for (const DirectoryEntry& entry : DMAP_TRY(volume_.read_directory(path, kDirectoryStart, SIZE_MAX))) {
      DMAP_TRY(visit((path == "/" ? "" : path) + "/" + entry.name));
    }
    return {};
  }

  Volume& volume_;
  const std::string name_;
  std::ofstream contents_;
  std::vector<std::string> lines_;
};

class Maker {
 public:
  explicit Maker(std::string folder) : folder_(std::move(folder)) {}

  Result<void> run() {
    DMAP_TRY(every_kind_of_thing());
    DMAP_TRY(more_metadata_than_a_zone());
    return a_ring_that_wraps();
  }

 private:
  std::string path(const std::string& name) const { return folder_ + "/" + name; }

  void copy(const std::string& from, const std::string& name) {
    std::filesystem::copy_file(path(from), path(name + ".dmap"), std::filesystem::copy_options::overwrite_existing);
  }

  /// With all times written back, so that the media say what the API says.
  Result<void> stage(Volume& volume, const std::string& from, const std::string& name) {
    DMAP_TRY(volume.sync());
    copy(from, name);
    return Dump(volume, path(name)).write();
  }

  Result<void> every_kind_of_thing() {
    DMAP_TRY(Volume::format(path("live"),
                            {.size = 96_MiB, .journal = 4_MiB, .allocation = Allocation::kSparse, .progress = {}}));
    copy("live", "fresh");
    {
      Volume volume = DMAP_TRY(Volume::open(path("live"), {.access = Access::kReadOnly}));
      DMAP_TRY(Dump(volume, path("fresh")).write());
    }
    Volume volume = DMAP_TRY(Volume::open(path("live")));
    DMAP_TRY(populate(volume));
    std::optional<File> nameless = DMAP_TRY(create(volume, "/nameless", 9000));
    DMAP_TRY(volume.unlink("/nameless"));
    DMAP_TRY(stage(volume, "live", "journal"));
    DMAP_TRY(volume.checkpoint());
    DMAP_TRY(stage(volume, "live", "checkpoint"));
    DMAP_TRY(change(volume));
    DMAP_TRY(stage(volume, "live", "both"));
    DMAP_TRY(volume.checkpoint());
    DMAP_TRY(stage(volume, "live", "holes"));
    nameless.reset();
    DMAP_TRY(cut_a_long_tail(volume));
    DMAP_TRY(die(volume));
    DMAP_TRY(volume.close());
    copy("live", "closed");
    Volume closed = DMAP_TRY(Volume::open(path("live"), {.access = Access::kReadOnly}));
    return Dump(closed, path("closed")).write();
  }

  Result<File> create(Volume& volume, const std::string& name, size_t size) {
    File file = DMAP_TRY(volume.open_file(name, {.access = Access::kReadWrite, .create = Create::kIfMissing}));
    std::string content = random_.bytes(size);
    DMAP_TRY(file.write_at(bytes_of_text(content), 0));
    return file;
  }

  Result<void> populate(Volume& volume) {
    DMAP_TRY(volume.make_directory("/many", {.permissions = 0711, .uid = 1000, .gid = 100}));
    for (int i = 0; i < 800; ++i) {
      DMAP_TRY(create(volume, "/many/a name of some length, so that leaves fill up " + std::to_string(i),
                      i % 8 == 0 ? 100 : 1000));
    }
    DMAP_TRY(create(volume, "/tiny", 512));
    DMAP_TRY(create(volume, "/empty", 0));
    File large = DMAP_TRY(create(volume, "/large", 2500000));
    DMAP_TRY(volume.link("/large", "/many/large too"));
    File sparse = DMAP_TRY(create(volume, "/sparse", 5000));
    DMAP_TRY(sparse.write_at(bytes_of_text("far away"), uint64_t{1} << 21));
    DMAP_TRY(sparse.allocate(uint64_t{1} << 20, 100_KiB));
    DMAP_TRY(sparse.punch(0, 4_KiB));
    DMAP_TRY(volume.make_symlink(std::string(1500, 't'), "/long link"));
    DMAP_TRY(volume.make_symlink("tiny", "/short link"));
    DMAP_TRY(volume.make_node("/fifo", FileType::kFifo, 0));
    DMAP_TRY(volume.make_node("/device", FileType::kCharDevice, makedev(1, 3)));
    DMAP_TRY(volume.set_xattr("/tiny", "user.small", bytes_of_text("value")));
    DMAP_TRY(volume.set_xattr("/tiny", "user.nothing", {}));
    std::string long_value = random_.bytes(5000);
    return volume.set_xattr("/large", "user.long", bytes_of_text(long_value));
  }

  Result<void> change(Volume& volume) {
    for (int i = 0; i < 800; i += 2) {
      DMAP_TRY(volume.unlink("/many/a name of some length, so that leaves fill up " + std::to_string(i)));
    }
    DMAP_TRY(volume.rename("/large", "/larger"));
    DMAP_TRY(volume.remove_xattr("/tiny", "user.small"));
    File larger = DMAP_TRY(volume.open_file("/larger", {.access = Access::kReadWrite}));
    DMAP_TRY(larger.truncate(Bytes{1000001}));
    DMAP_TRY(larger.append(bytes_of_text("and more")));
    DMAP_TRY(volume.make_directory("/new"));
    DMAP_TRY(volume.rename("/tiny", "/new/tiny"));
    return {};
  }

  /// More extents than one record frees: some of the tail may be dead and still there in the copy.
  Result<void> cut_a_long_tail(Volume& volume) {
    File file = DMAP_TRY(create(volume, "/fragments", 4096));
    std::string frame = random_.bytes(4096);
    for (uint64_t i = 1; i < 2000; ++i) DMAP_TRY(file.write_at(bytes_of_text(frame), i * 2 * 4096));
    DMAP_TRY(volume.checkpoint());
    DMAP_TRY(volume.sync());
    DMAP_TRY(file.truncate(Bytes{10000}));
    copy("live", "tail");
    return Dump(volume, path("tail")).write();
  }

  /// What a power cut may keep, and what a killed process must.
  Result<void> die(Volume& volume) {
    DMAP_TRY(volume.sync());
    DMAP_TRY(Dump(volume, path("power")).write());
    DMAP_TRY(volume.set_attributes("/larger", permissions(0600)));
    File larger = DMAP_TRY(volume.open_file("/larger", {.access = Access::kReadWrite}));
    DMAP_TRY(larger.truncate(Bytes{70000}));
    copy("live", "power");
    copy("live", "killed");
    return Dump(volume, path("killed")).write();
  }

  Result<void> more_metadata_than_a_zone() {
    FormatOptions small{.size = 16_MiB, .journal = 4_MiB, .allocation = Allocation::kSparse, .progress = {}};
    DMAP_TRY(Volume::format(path("zones"), small));
    Volume volume = DMAP_TRY(Volume::open(path("zones")));
    for (int i = 0; i < 2000; ++i) DMAP_TRY(create(volume, "/tiny " + std::to_string(i), 400));
    DMAP_TRY(stage(volume, "zones", "zones"));
    DMAP_TRY(volume.checkpoint());
    return stage(volume, "zones", "zones in use");
  }

  Result<void> a_ring_that_wraps() {
    DMAP_TRY(Volume::format(path("ring"),
                            {.size = 16_MiB, .journal = 1_MiB, .allocation = Allocation::kSparse, .progress = {}}));
    for (int session = 0; session < 4; ++session) {
      // A third of the ring for each session: not enough for the background to take a checkpoint of its own accord.
      Volume volume = DMAP_TRY(Volume::open(path("ring")));
      for (uint32_t i = 0; i < 1800; ++i) DMAP_TRY(volume.set_attributes("/", permissions(i & 0777)));
      DMAP_TRY(volume.make_directory("/session " + std::to_string(session)));
      DMAP_TRY(stage(volume, "ring", "ring" + std::to_string(session)));
      DMAP_TRY(volume.close());
    }
    return {};
  }

  const std::string folder_;
  Random random_{2015};
};

}  // namespace
}  // namespace dmap::testing

int main(int count, char** arguments) {
  if (count != 2) return std::fputs("usage: make_volumes FOLDER\n", stderr), 2;
  auto made = dmap::testing::Maker(arguments[1]).run();
  if (!made) return std::fprintf(stderr, "make_volumes: %s\n", made.error().message().c_str()), 1;
  auto device = dmap::FileDevice::open(std::string(arguments[1]) + "/live", dmap::DeviceAccess::kReadOnly);
  bool unordered = device && (*device)->traits().persistence == dmap::Persistence::kSync;
  std::puts(unordered ? "written back in any order" : "kept in order");
}
