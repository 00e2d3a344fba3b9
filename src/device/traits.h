// SPDX-License-Identifier: Apache-2.0
//
// What a device promises. Code asks these traits and never which kind of device it has.
#ifndef DMAP_DEVICE_TRAITS_H_
#define DMAP_DEVICE_TRAITS_H_

#include <cstdint>
#include <string>

#include "dmap/types.h"

namespace dmap {

/// What it takes until stores survive a power cut.
enum class Persistence : uint8_t {
  kNone,       // nothing helps: the contents go with the machine's power
  kLineFlush,  // cache lines written back, then a fence
  kSync,       // Device::barrier(), which asks the kernel
};

/// How long a DMA may use the device's mapped memory as its source or target (the kernel's FOLL_LONGTERM question).
enum class DmaTarget : uint8_t {
  kNone,   // never
  kShort,  // for the length of one transfer
  kLong,   // until it is given up
};

enum class WriteCost : uint8_t { kCheap, kDear };

struct Traits {
  FrameCount frames;           // capacity now
  FrameCount frames_max;       // declared maximum
  FrameCount cpu_mapped;       // frames [0, cpu_mapped) have an address
  bool load_in_place = false;  // mapped, and small loads are cheap
  bool durable = false;        // outlives the machine's power
  Persistence persistence = Persistence::kNone;
  Bytes transaction{64};  // smallest transfer worth issuing
  WriteCost write_cost = WriteCost::kCheap;
  uint64_t endurance_writes = 0;  // writes a frame takes before it wears out; 0: no limit known
  Bytes map_grain = kFrameSize;   // offsets and lengths of a mapping are multiples of it
  Bytes page_size = kFrameSize;   // the page size that the mapping is believed to use
  int numa_node = -1;             // -1: unknown
  DmaTarget dma_target = DmaTarget::kNone;
  std::string medium;   // for people: "memory (memfd, 2 MiB pages)", "file on ext4", "device DAX"
  std::string promise;  // for people: one sentence, what survives what and from which point on
};

}  // namespace dmap

#endif  // DMAP_DEVICE_TRAITS_H_
