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

  /// Appends to `unheld` the parts of `freed` that no descriptor holds. Every other frame is marked: whoever drops the
  /// last hold on it calls SpaceMap::on_holds_gone() once, with the run that the descriptor stood for (a frame or a
  /// large frame). That call
  ///   - takes the lock under which retire() is called, so retire() neither makes it nor waits for one who makes it;
  ///   - comes inside the RcuReadSection in which the count reached zero, so that in between nobody can be handed the
  ///     frame, free it and retire it anew.
  /// `freed` lies in one group (32 MiB), and no map shows it to anybody any more. Never blocks.
  virtual void retire(Extent freed, std::vector<Extent>& unheld) = 0;
};

}  // namespace dmap

#endif  // DMAP_EXTENT_HOLD_CHECKER_H_
