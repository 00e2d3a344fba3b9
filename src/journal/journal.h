// SPDX-License-Identifier: Apache-2.0
//
// The redo journal: a ring of records on the home device. One record is one operation. (Rules J1 to J5.)
//
// Invariants:
//   1. Between `start` and `head` lies an unbroken chain: each record names the number and checksum of the one before.
//   2. Nothing between `start` and `head` is overwritten; `start` moves only after a checkpoint is complete.
//   3. The record at `head` never continues the chain by accident: a stale one has another number, checksum or epoch.
#ifndef DMAP_JOURNAL_JOURNAL_H_
#define DMAP_JOURNAL_JOURNAL_H_

#include <functional>
#include <span>

#include "device/device.h"
#include "dmap/result.h"
#include "dmap/types.h"
#include "journal/record.h"

namespace dmap {

/// Where the journal lies and what it belongs to.
struct JournalRegion {
  Bytes at;              ///< on the device, a multiple of the frame size
  Bytes size;            ///< likewise
  uint32_t volume_seed;  ///< of every checksum
};

/// What a replay found.
struct ReplayEnd {
  JournalPosition position;  ///< behind the last record that counts
  uint64_t operations = 0;   ///< handed to `apply`
  uint64_t discarded = 0;    ///< intact records that another boot left without a marker
};

/// Reads the records from `start` on and hands each operation's payload to `apply`, in order. `boot` is this boot of
/// the machine. On sync media the kernel may have written pages back in any order before the power failed, so a session
/// of another boot counts only up to its last marker; elsewhere every intact record counts. Stops at the first error of
/// `apply`. Writes nothing; reads only inside the region, whatever its bytes.
[[nodiscard]] Result<ReplayEnd> replay(const Device& device, const JournalRegion& region, const JournalPosition& start,
                                       const SessionMark& boot,
                                       const std::function<Result<void>(std::span<const std::byte>)>& apply);

/// Appends. Not thread-safe: the volume's commit lock is held around every call.
class Journal {
 public:
  /// Goes on behind `head`; the chain from `start` to `head` is in use. Writes nothing yet.
  Journal(Device& device, const JournalRegion& region, const JournalPosition& start, const JournalPosition& head);

  /// Begins a session: from here on records carry `epoch`, which is newer than any before: the clock's nanoseconds,
  /// say, so that even sessions that were lost with an abandoned tail cannot have had it. To be called once, first.
  void begin_session(const SessionMark& boot, uint64_t epoch);

  /// Appends one operation. On return it is durable where the medium takes line flushes (one fence), and safe from the
  /// death of the process everywhere. The caller has asked has_room() before.
  void append(std::span<const std::byte> payload);

  /// Says that every record before number `sequence` is durable, with its data.
  void append_marker(uint64_t sequence);

  /// Whether a record with this payload fits without touching what is in use.
  [[nodiscard]] bool has_room(uint64_t payload) const;

  /// Gives back the room before `position` (taken from head() when the checkpoint froze the tree).
  void release(const JournalPosition& position);

  [[nodiscard]] const JournalPosition& head() const { return head_; }
  [[nodiscard]] Bytes used() const { return Bytes{used_}; }
  [[nodiscard]] Bytes size() const { return region_.size; }

 private:
  void write(RecordKind kind, std::span<const std::byte> payload);

  Device& device_;
  JournalRegion region_;
  JournalPosition head_;
  uint64_t start_offset_;
  uint64_t used_;  ///< bytes from start to head, what a wrap skipped counted in
};

}  // namespace dmap

#endif  // DMAP_JOURNAL_JOURNAL_H_
