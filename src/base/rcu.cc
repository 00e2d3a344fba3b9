// SPDX-License-Identifier: Apache-2.0
#include "base/rcu.h"

namespace dmap {

void rcu_retire_head(RcuHead* head, void (*reclaim)(RcuHead*)) {
  head->reclaim = reclaim;
  detail::tsan_release(head);
  urcu_bp_call_rcu(&head->link, [](rcu_head* link) {
    auto* retired = reinterpret_cast<RcuHead*>(link);  // `link` is RcuHead's first member
    detail::tsan_acquire(retired);
    detail::tsan_acquire(&detail::rcu_tsan_tag);
    retired->reclaim(retired);
  });
}

}  // namespace dmap

#ifdef DMAP_TSAN
// liburcu is not instrumented, so the hand-over of its own thread's state, which it frees at exit, looks unordered.
// This leaves out only what liburcu itself calls; our callbacks stay under watch.
extern "C" const char* __tsan_default_suppressions() { return "called_from_lib:liburcu-bp.so\n"; }
#endif
