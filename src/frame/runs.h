// SPDX-License-Identifier: Apache-2.0
//
// Neighbouring frames put together into extents.
#ifndef DMAP_FRAME_RUNS_H_
#define DMAP_FRAME_RUNS_H_

#include <array>
#include <bit>
#include <cstdint>

#include "base/function_ref.h"
#include "dmap/types.h"
#include "frame/page.h"

namespace dmap {

/// Collects extents in rising order, and reports each as long as it can be. Call close() at the end.
class Runs {
 public:
  explicit Runs(FunctionRef<void(Extent)> report) : report_(report) {}

  void add(Extent extent) {
    if (open_.count.value > 0 && open_.end() == extent.first) {
      open_.count += extent.count;
      return;
    }
    close();
    open_ = extent;
  }
  void close() {
    if (open_.count.value > 0) report_(open_);
    open_ = {};
  }

 private:
  FunctionRef<void(Extent)> report_;
  Extent open_;
};

/// Adds the frames of the section at `first` whose bit is set.
inline void add_marked(Runs& runs, Pfn first, const std::array<uint64_t, kSectionBlocks>& marks) {
  for (uint64_t block = 0; block < kSectionBlocks; ++block) {
    for (uint64_t left = marks[block]; left != 0;) {
      auto from = static_cast<unsigned>(std::countr_zero(left));
      auto length = static_cast<unsigned>(std::countr_one(left >> from));
      runs.add({first + FrameCount{block * kBlockFrames + from}, FrameCount{length}});
      if (from + length == 64) break;
      left &= ~uint64_t{0} << (from + length);
    }
  }
}

}  // namespace dmap

#endif  // DMAP_FRAME_RUNS_H_
