// SPDX-License-Identifier: Apache-2.0
//
// Read-copy-update, by liburcu's "bulletproof" flavour (threads register themselves), with everything that
// ThreadSanitizer needs to know about it: liburcu 0.13 carries no annotations of its own.
//
// A reader opens an RcuReadSection and loads pointers with acquire. A writer publishes a new version with a release
// store, then hands the old one to rcu_retire(), or waits with rcu_synchronize() and frees it.
// Read sections are short: never across a wait, never in a user's hand.
#ifndef DMAP_BASE_RCU_H_
#define DMAP_BASE_RCU_H_

#include "base/sanitizers.h"

#ifdef DMAP_TSAN
#include <sanitizer/tsan_interface.h>
#else
#define _LGPL_SOURCE  // lets read_lock and read_unlock be inlined (liburcu permits small inline functions)
#endif
#include <urcu-bp.h>

#include <type_traits>

namespace dmap {

namespace detail {
/// What every read section releases and every grace period acquires, in ThreadSanitizer's eyes.
inline char rcu_tsan_tag;

inline void tsan_release([[maybe_unused]] void* tag) {
#ifdef DMAP_TSAN
  __tsan_release(tag);
#endif
}
inline void tsan_acquire([[maybe_unused]] void* tag) {
#ifdef DMAP_TSAN
  __tsan_acquire(tag);
#endif
}
}  // namespace detail

/// What this thread sees through RCU-published pointers stays alive until the section closes. Sections nest.
/// Costs about a nanosecond; never blocks.
class [[nodiscard]] RcuReadSection {
 public:
  RcuReadSection() { urcu_bp_read_lock(); }
  ~RcuReadSection() {
    detail::tsan_release(&detail::rcu_tsan_tag);
    urcu_bp_read_unlock();
  }
  RcuReadSection(const RcuReadSection&) = delete;
  RcuReadSection& operator=(const RcuReadSection&) = delete;
};

/// Returns when every read section that was open at the call has closed. Must not be called inside one.
inline void rcu_synchronize() {
  urcu_bp_synchronize_rcu();
  detail::tsan_acquire(&detail::rcu_tsan_tag);
}

/// A link that an object carries so that it can be retired without an allocation. Must be the object's base.
struct RcuHead {
  rcu_head link{};
  void (*reclaim)(RcuHead*) = nullptr;
};

/// Calls `reclaim(head)` on liburcu's worker thread after a grace period. Never blocks, never allocates.
void rcu_retire_head(RcuHead* head, void (*reclaim)(RcuHead*));

/// Calls `Reclaim(object)` on liburcu's worker thread after a grace period. Never blocks, never allocates.
template <auto Reclaim, typename T>
  requires std::is_base_of_v<RcuHead, T>
void rcu_retire(T* object) {
  rcu_retire_head(object, [](RcuHead* retired) { Reclaim(static_cast<T*>(retired)); });
}

/// Deletes `object` after a grace period.
template <typename T>
  requires std::is_base_of_v<RcuHead, T>
void rcu_delete(T* object) {
  rcu_retire<[](T* retired) { delete retired; }>(object);
}

/// Returns when everything retired before the call has been reclaimed. Must not be called inside a read section.
inline void rcu_barrier_all() { urcu_bp_barrier(); }

}  // namespace dmap

#endif  // DMAP_BASE_RCU_H_
