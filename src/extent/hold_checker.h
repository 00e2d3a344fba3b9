// SPDX-License-Identifier: Apache-2.0
#ifndef DMAP_EXTENT_HOLD_CHECKER_H_
#define DMAP_EXTENT_HOLD_CHECKER_H_

#include <vector>

#include "dmap/types.h"

namespace dmap {

/// Who knows the long holds on frames: the frame table. SpaceMap asks it about frames that nobody can reach any more.
class HoldChecker {
 public:
  virtual ~HoldChecker() = default;

  /// Appends to `unheld` the parts of `freed` that no descriptor holds. Every other frame is marked, so that whoever
  /// drops the last hold on it calls SpaceMap::on_holds_gone() exactly once, with the run that the descriptor stood
  /// for,
  ///   - not before retire() has returned to the caller's lock: on_holds_gone() takes that lock, so it must not be
  ///     called from inside retire(), and retire() must not wait for a thread that is on its way into it;
  ///   - inside the RcuReadSection in which the count reached zero, so that the frames cannot be handed out, freed and
  ///     retired anew in between.
  /// Called under SpaceMap's lock, after a grace period. `freed` lies in one group of 32 MiB.
  virtual void retire(Extent freed, std::vector<Extent>& unheld) = 0;
};

}  // namespace dmap

#endif  // DMAP_EXTENT_HOLD_CHECKER_H_
