// SPDX-License-Identifier: Apache-2.0
//
// What happens to memory of the frame table that nobody uses: sections wait in a queue, regions close in batches.
#ifndef DMAP_FRAME_IDLE_H_
#define DMAP_FRAME_IDLE_H_

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/guarded.h"
#include "base/rcu.h"
#include "dmap/types.h"
#include "frame/directory.h"

namespace dmap {

/// The sections that became idle, oldest first, at most a fixed number. Any thread; never allocates after creation.
class IdleQueue {
 public:
  explicit IdleQueue(size_t sections_max);

  /// Puts `section` in. If there is no place, the oldest one is taken out and returned: its caller settles it.
  [[nodiscard]] std::optional<Pfn> push(Pfn section);
  [[nodiscard]] std::optional<Pfn> pop();
  [[nodiscard]] std::vector<Pfn> snapshot() const;

 private:
  struct Ring {
    std::vector<Pfn> places;
    size_t first = 0;
    size_t used = 0;
  };
  Guarded<Ring> ring_;
};

/// Closes vacant regions, many behind one grace period. One batch waits for its grace period while another fills.
/// Never allocates, so that drop() can call it; what finds no place stays present until the next trim() or shortage.
class RegionCloser {
 public:
  /// Proposes a region that was seen vacant. `directory` lives until idle() answers true.
  /// False if there was no place for it: ask again after a grace period.
  bool propose(Directory& directory, uint64_t region);
  /// True if no batch is under way.
  [[nodiscard]] bool idle() const;

 private:
  struct Entry {
    Directory* directory = nullptr;
    uint64_t region = 0;
  };
  struct Batch : RcuHead {
    RegionCloser* closer = nullptr;
    RegionState name = kFirstClosing;
    size_t used = 0;
    std::array<Entry, 512> entries{};  // 64 GiB of the device
  };
  struct State {
    std::array<Batch, 2> batches{};
    unsigned filling = 0;
    bool flying = false;
    RegionState next_name = kFirstClosing;
  };

  void launch(State& state);
  static void land(Batch* batch);

  Guarded<State> state_;
};

}  // namespace dmap

#endif  // DMAP_FRAME_IDLE_H_
