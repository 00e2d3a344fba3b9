// SPDX-License-Identifier: Apache-2.0
//
// What an error says. docs/guide.md shows the middle part.
#include <cstdio>
#include <vector>

#include "dmap/volume.h"

using namespace dmap::literals;

namespace {

dmap::Result<void> run() {
  dmap::Volume volume = DMAP_TRY(dmap::Volume::in_memory(32_MiB, {.descriptor_memory = 1_MiB}));
  dmap::File file =
      DMAP_TRY(volume.open_file("/a", {.access = dmap::Access::kReadWrite, .create = dmap::Create::kIfMissing}));

  std::vector<std::byte> too_much(64 << 20);
  auto written = file.write_at(too_much, 0);
  if (!written && written.error().code() == dmap::Code::kNoSpace) {
    std::printf("%s (errno %d)\n", written.error().message().c_str(), written.error().posix());
  }
  return {};
}

}  // namespace

int main() {
  if (auto done = run(); !done) return std::fprintf(stderr, "%s\n", done.error().message().c_str()), 1;
}
