// SPDX-License-Identifier: Apache-2.0
//
// A layer outside the file store, a GPU driver say, that wants page descriptors for some of its frames. docs/guide.md
// shows the middle part.
#include <cstdio>

#include "dmap/frames.h"
#include "dmap/volume.h"

using namespace dmap::literals;

namespace {

dmap::Result<void> run() {
  dmap::Volume volume = DMAP_TRY(dmap::Volume::in_memory(16_MiB));

  dmap::Frames& frames = volume.frames();
  auto vram = DMAP_TRY(frames.attach(dmap::frames_within(24_GiB), "gpu0"));  // addresses only: no descriptor yet
  auto hold = DMAP_TRY(vram.expose(512, dmap::FrameCount{512}));             // one large descriptor for 2 MiB
  if (auto page = frames.page(vram.pfn(700))) std::printf("%llu holds\n", static_cast<unsigned long long>(page->holds));
  hold.drop();
  DMAP_TRY(vram.detach());  // busy while anything is exposed
  return volume.close();
}

}  // namespace

int main() {
  if (auto done = run(); !done) return std::fprintf(stderr, "%s\n", done.error().message().c_str()), 1;
}
