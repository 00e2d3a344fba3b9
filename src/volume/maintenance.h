// SPDX-License-Identifier: Apache-2.0
//
// The volume's one background thread: it does early, and gently, what operations would otherwise have to do themselves.
#ifndef DMAP_VOLUME_MAINTENANCE_H_
#define DMAP_VOLUME_MAINTENANCE_H_

#include <functional>
#include <thread>
#include <vector>

#include "base/guarded.h"
#include "dmap/options.h"

namespace dmap {

class Maintenance {
 public:
  /// One round of work; answers whether there was any, and so whether to come back soon.
  using Round = std::function<bool()>;

  Maintenance() = default;
  /// Stops as stop() does.
  ~Maintenance() { stop(); }

  void start(Round round);
  /// Returns when the round under way is over; no other follows.
  void stop();

  /// Queues an inode to be reaped, and wakes the thread. Safe in read sections; allocates.
  void reap_later(InodeNumber number);
  /// As reap_later(), without waking the thread.
  void reap_in_next_round(InodeNumber number);
  /// What was queued, each once.
  std::vector<InodeNumber> take_dead();

 private:
  void run(const Round& round);

  Mutex mutex_;
  CondVar woken_;
  std::vector<InodeNumber> dead_ GUARDED_BY(mutex_);
  bool stop_ GUARDED_BY(mutex_) = false;
  bool wake_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace dmap

#endif  // DMAP_VOLUME_MAINTENANCE_H_
