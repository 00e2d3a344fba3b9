// SPDX-License-Identifier: Apache-2.0
#include "contents.h"

#define XXH_INLINE_ALL
#include <fcntl.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <utility>

namespace dmap::demo {
namespace {

class Hasher {
 public:
  Hasher() { XXH3_128bits_reset(state_.get()); }
  void add(std::span<const std::byte> bytes) { XXH3_128bits_update(state_.get(), bytes.data(), bytes.size()); }
  [[nodiscard]] Hash hash() const {
    XXH128_hash_t digest = XXH3_128bits_digest(state_.get());
    return {.low = digest.low64, .high = digest.high64};
  }

 private:
  struct Free {
    void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
  };
  std::unique_ptr<XXH3_state_t, Free> state_{XXH3_createState()};
};

}  // namespace

Result<std::vector<FileRow>> list_files(const Volume& volume) {
  constexpr size_t kBatch = 1024;
  struct Directory {
    InodeNumber inode;
    std::string path;
  };
  std::vector<FileRow> files;
  std::vector<Directory> waiting{{kRootInode, ""}};
  while (!waiting.empty()) {
    Directory directory = std::move(waiting.back());
    waiting.pop_back();
    DirectoryCookie after = kDirectoryStart;
    for (bool is_last = false; !is_last;) {
      auto entries = DMAP_TRY(volume.read_directory(directory.inode, after, kBatch));
      is_last = entries.size() < kBatch;
      if (!entries.empty()) after = entries.back().cookie;
      for (const DirectoryEntry& entry : entries) {
        std::string path = directory.path + "/" + entry.name;
        if (entry.type == FileType::kDirectory) {
          waiting.push_back({entry.inode, std::move(path)});
        } else if (entry.type == FileType::kRegular) {
          Bytes size = DMAP_TRY(volume.stat(entry.inode)).size;
          files.push_back({.path = std::move(path), .inode = entry.inode, .size = size, .hash = {}});
        }
      }
    }
  }
  return files;
}

Result<Hash> hash_in_place(Volume& volume, InodeNumber inode) {
  File file = DMAP_TRY(volume.open_file(inode));
  Bytes step = 4_MiB;
  Hasher hasher;
  for (Offset offset; offset < Offset(file.size());) {
    auto view = file.view(offset, step);
    // A file in very many pieces is looked at in smaller steps.
    if (!view && view.error().code() == Code::kTooManyViews && step > kFrameSize) {
      step = Bytes{step.value / 2};
      continue;
    }
    if (!view) return std::unexpected(std::move(view).error());
    for (std::span<const std::byte> piece : view->pieces()) hasher.add(piece);
    offset = offset + view->size();
  }
  return hasher.hash();
}

Result<Hash> hash_on_host(const std::string& path) {
  constexpr size_t kBufferSize = size_t{1} << 20;
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::unique_ptr<std::FILE, Close> file(std::fopen(path.c_str(), "rbe"));
  if (!file) return std::unexpected(Error::from_errno(errno, "open", path));
  std::setvbuf(file.get(), nullptr, _IONBF, 0);
  static std::vector<std::byte> buffer(kBufferSize);
  Hasher hasher;
  while (std::feof(file.get()) == 0 && std::ferror(file.get()) == 0) {
    hasher.add({buffer.data(), std::fread(buffer.data(), 1, buffer.size(), file.get())});
  }
  if (std::ferror(file.get()) != 0) return std::unexpected(Error::from_errno(errno, "read", path));
  return hasher.hash();
}

Result<Hash> hash_of_pin(const Pin& pin) {
  Hasher hasher;
  for (const Piece& piece : pin.pieces()) {
    if (piece.address == nullptr) return fail(Code::kNotSupported, "hash", "pin", "the CPU does not map this device");
    hasher.add({piece.address, piece.length.value});
  }
  return hasher.hash();
}

}  // namespace dmap::demo
