// SPDX-License-Identifier: Apache-2.0
//
// Makes a volume, puts a file in, reads it where it lies, and holds it for a device. README.md shows the middle part.
#include <cstdio>
#include <span>
#include <string>
#include <vector>

#include "dmap/volume.h"

using namespace dmap::literals;

namespace {

/// Stands for what starts a DMA.
void start_transfer(const dmap::Piece& piece) {
  std::printf("device %u, byte %llu, %llu bytes\n", static_cast<unsigned>(piece.device),
              static_cast<unsigned long long>(piece.offset.value), static_cast<unsigned long long>(piece.length.value));
}

dmap::Result<void> run(const std::string& path) {
  const std::vector<std::byte> weights(8 << 20, std::byte{42});
  DMAP_TRY(dmap::Volume::format(path, {.size = 64_MiB}));
  dmap::Volume volume = DMAP_TRY(dmap::Volume::open(path));
  dmap::File file = DMAP_TRY(volume.open_file(
      "/weights", {.access = dmap::Access::kReadWrite, .create = dmap::Create::kIfMissing, .expected_size = 8_MiB}));
  DMAP_TRY(file.write_at(weights, 0));
  DMAP_TRY(file.sync());

  dmap::View header = DMAP_TRY(file.view(0, 4_KiB));  // in place: no copy, no lock, no descriptor
  for (std::span<const std::byte> piece : header.pieces()) std::printf("%zu bytes at %p\n", piece.size(), piece.data());

  dmap::Pin pin = DMAP_TRY(file.pin(0, file.size()));  // for a device: page descriptors exist from here on
  for (const dmap::Piece& piece : pin.pieces()) start_transfer(piece);
  DMAP_TRY(file.truncate(0_B));  // does not wait; no other file gets the frames before `pin` is gone
  return {};
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) return std::fputs("usage: read_in_place VOLUME (a new file)\n", stderr), 2;
  if (auto done = run(arguments[1]); !done) {
    return std::fprintf(stderr, "%s\n", done.error().message().c_str()), 1;
  }
}
