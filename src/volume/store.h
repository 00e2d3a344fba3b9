// SPDX-License-Identifier: Apache-2.0
//
// The store below the files: a device, the tree and its frames, the space map, the journal. It turns Transactions into
// durable changes and takes checkpoints; it knows keys and frames, not what they mean.
//
//   commit:      tree changes -> journal record, durable -> shown to readers -> freed frames to quarantine
//   checkpoint:  freeze -> write nodes and maps -> root slot A -> root slot B -> release frames and journal
#ifndef DMAP_VOLUME_STORE_H_
#define DMAP_VOLUME_STORE_H_

#include <atomic>
#include <functional>
#include <memory>
#include <span>
#include <utility>

#include "base/function_ref.h"
#include "base/guarded.h"
#include "device/device.h"
#include "dmap/options.h"
#include "dmap/volume.h"
#include "extent/hold_checker.h"
#include "extent/space_map.h"
#include "frame/view_slots.h"
#include "journal/journal.h"
#include "tree/cursor.h"
#include "tree/node_space.h"
#include "tree/tree.h"
#include "volume/format.h"
#include "volume/records.h"
#include "volume/transaction.h"

namespace dmap {

/// What an operation is for: deleting may use the metadata reserve, so that it works on a full volume (X5).
enum class Purpose : uint8_t { kChange, kDelete };

/// The running boot of this machine, as the kernel names it; zeros where it does not.
SessionMark boot_of_machine();

/// Whether the volume's own thread works in the background: without it, the same operations store the same bytes.
enum class Background : uint8_t { kOn, kOff };

/// Where a volume runs. A test says otherwise, to play a reboot.
struct Host {
  SessionMark boot = boot_of_machine();
  Background background = Background::kOn;
};

/// Any thread may call anything, but for format() and open().
class Store final : private GroupSource {
 public:
  /// Makes the device an empty volume. Its contents are gone. Errors: invalid (too small), io.
  /// `entries` is what the tree holds at first.
  struct Entry {
    Key key;
    std::vector<std::byte> value;
  };
  static Result<void> format(Device& device, const FormatOptions& options, std::span<const Entry> entries);

  /// Whether a volume of this size can be made with these options. Errors: invalid, saying why.
  static Result<void> check_geometry(const FormatOptions& options, FrameCount volume, const std::string& name);
  /// Whether the device has a superblock that can be read.
  static bool holds_volume(const Device& device);

  /// Opens what the device holds: newest valid root slot, then the journal. Writes nothing if read-only; otherwise
  /// makes both slots alike and begins a session, after a checkpoint if the journal is full.
  /// Errors: foreign, corrupt, read_only, io.
  static Result<std::unique_ptr<Store>> open(std::unique_ptr<Device> device, const OpenOptions& options,
                                             HoldChecker& holds, ViewSlots& views, const Host& host);
  ~Store() override;

  [[nodiscard]] const Superblock& superblock() const { return superblock_; }
  [[nodiscard]] Device& device() { return *device_; }
  [[nodiscard]] const Device& device() const { return *device_; }
  [[nodiscard]] SpaceMap& space() { return *space_; }
  [[nodiscard]] Access access() const { return options_.access; }

  /// Runs `use(tree)` under the shared lock. What it returns must not point into the tree.
  template <typename Use>
  auto read(Use&& use) const {
    ReaderLock lock(tree_lock_);
    return std::forward<Use>(use)(std::as_const(*tree_));
  }

  /// Makes the transaction's changes, all or none. On return they are in the journal (see Journal::append for what that
  /// means). `reservations` are what the transaction claims. `show` makes the change visible to lock-free readers; it
  /// runs when the change is durable and before any freed frame may go to somebody else; it must be short.
  /// May take a checkpoint to make room, and so block for the device.
  /// Errors: no_space (metadata), read_only (also after a failure of the device or a corrupt node), corrupt, io.
  Result<void> commit(Transaction& transaction, std::span<Reservation> reservations, Purpose purpose,
                      FunctionRef<void()> show);

  /// A number for a new inode; never given twice.
  InodeNumber new_inode_number();

  /// See Volume::sync() and Volume::checkpoint().
  Result<void> sync();
  Result<void> checkpoint();
  /// Adds a metadata zone if even a checkpoint leaves few free nodes, so that nobody has to wait for one.
  Result<void> make_room_ahead();

  /// Makes frames free that could be: a barrier where the medium needs one, a grace period.
  Result<void> settle_quarantine();

  /// Whether a checkpoint should be taken soon, so that nobody has to wait for one.
  [[nodiscard]] bool wants_checkpoint() const { return wants_checkpoint_.load(std::memory_order_relaxed); }
  /// Whether records wait for a barrier, on media that need one.
  [[nodiscard]] bool wants_barrier() const;

  [[nodiscard]] Usage usage() const;
  [[nodiscard]] OpenInfo open_info() const;
  /// For check: node frames that the zones' maps have in use, and what was wrong with copies that opening could do
  /// without.
  [[nodiscard]] uint64_t live_nodes() const;
  [[nodiscard]] std::vector<std::string> problems() const;

 private:
  Store(std::unique_ptr<Device> device, const OpenOptions& options, const Host& host);

  enum class Shortage : uint8_t { kNone, kJournal, kDirtyNodes, kNodeFrames };

  Result<std::optional<EncodedGroup>> load(uint64_t group) override;

  // store_open.cc
  Result<void> load_root();
  Result<void> recover(HoldChecker& holds, ViewSlots& views);
  Result<void> begin_session();
  Result<void> mend_slots();
  Result<void> replay_record(std::span<const std::byte> payload);

  // commit.cc
  Result<void> usable() const REQUIRES_SHARED(tree_lock_);
  Shortage shortage(const Transaction& transaction, Purpose purpose) const REQUIRES(tree_lock_);
  uint64_t node_frames_for(const Transaction& transaction) const REQUIRES_SHARED(tree_lock_);
  uint64_t node_frames_reserve() const REQUIRES_SHARED(tree_lock_);
  Result<void> make_room(Shortage shortage, int attempt, const Transaction& transaction);
  Result<bool> add_zone();
  Result<void> apply_keys(std::span<const std::byte> payload) REQUIRES(tree_lock_);
  void apply_releases(std::span<const std::byte> payload, RecordState record) REQUIRES(tree_lock_);
  Result<void> adopt_zone(Extent zone) REQUIRES(tree_lock_);
  void note_groups(const Transaction& transaction) REQUIRES(tree_lock_);
  void note_pressure() REQUIRES(tree_lock_);
  [[nodiscard]] RecordState record_state() const;

  // checkpoint.cc
  struct Cut;
  Result<Cut> cut() REQUIRES(checkpoint_mutex_, tree_lock_);
  Result<void> write_out(Cut& cut) REQUIRES(checkpoint_mutex_);
  Result<void> write_slot(uint64_t frame, const RootSlot& slot);
  void finish(Cut& cut) REQUIRES(checkpoint_mutex_);
  void give_up(Cut& cut) REQUIRES(checkpoint_mutex_);
  enum class Marked : uint8_t { kYes, kNoRoom };
  Result<Marked> barrier_for_records();

  const OpenOptions options_;
  const Host host_;
  const std::unique_ptr<Device> device_;
  Superblock superblock_;
  std::unique_ptr<SpaceMap> space_;

  mutable SharedMutex tree_lock_;
  std::unique_ptr<NodeSpace> nodes_ GUARDED_BY(tree_lock_) PT_GUARDED_BY(tree_lock_);
  std::unique_ptr<Tree> tree_ GUARDED_BY(tree_lock_) PT_GUARDED_BY(tree_lock_);
  std::unique_ptr<Journal> journal_ GUARDED_BY(tree_lock_) PT_GUARDED_BY(tree_lock_);
  std::vector<Extent> zones_ GUARDED_BY(tree_lock_);
  Counters counters_ GUARDED_BY(tree_lock_);
  uint64_t groups_changed_ GUARDED_BY(tree_lock_) =
      0;  ///< at most so many groups differ from what the tree says of them
  uint64_t changed_through_ GUARDED_BY(tree_lock_) = 0;  ///< the number behind the last operation's record
  uint64_t synced_through_ GUARDED_BY(tree_lock_) = 0;   ///< records below count after a power cut too
  std::optional<Error> failure_ GUARDED_BY(tree_lock_);  ///< set: nothing is written any more

  mutable Mutex checkpoint_mutex_;               ///< one checkpoint at a time; taken first of all
  RootSlot slot_ GUARDED_BY(checkpoint_mutex_);  ///< the last complete checkpoint
  struct StaleSlot {
    uint64_t frame;
    std::string problem;  ///< empty: it is only old
  };
  std::vector<StaleSlot> stale_slots_ GUARDED_BY(checkpoint_mutex_);  ///< found by opening, not mended yet
  Mutex sync_mutex_;  ///< one barrier of the media at a time; taken before tree_lock_
  std::atomic<uint64_t> sync_requests_ = 0;
  uint64_t syncs_served_ GUARDED_BY(sync_mutex_) = 0;  ///< requests up to this one are durable
  Mutex zone_mutex_;                                   ///< one new zone at a time

  std::atomic<uint64_t> inode_next_ = 2;
  std::atomic<uint64_t> checkpoints_ = 0;
  std::atomic<bool> wants_checkpoint_ = false;
  uint64_t records_replayed_ = 0;
  std::vector<std::string> problems_;
};

}  // namespace dmap

#endif  // DMAP_VOLUME_STORE_H_
