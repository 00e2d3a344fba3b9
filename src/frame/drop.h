// SPDX-License-Identifier: Apache-2.0
//
// What dropping found out about one section. Inner header of the frame table.
#ifndef DMAP_FRAME_DROP_H_
#define DMAP_FRAME_DROP_H_

#include <array>
#include <cstdint>

#include "frame/frame_table.h"

namespace dmap {

/// Which descriptors of a section had a freed mark that our drop took off.
struct FrameTable::Freed {
  bool any = false;
  bool run = false;
  std::array<uint64_t, kSectionBlocks> frames{};  // a bit for each frame
};

}  // namespace dmap

#endif  // DMAP_FRAME_DROP_H_
