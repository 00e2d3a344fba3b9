// SPDX-License-Identifier: Apache-2.0
//
// What a medium remembers: every store and fence of a run, and what of them survives when the power goes.
#ifndef DMAP_TESTING_CRASH_MEDIUM_H_
#define DMAP_TESTING_CRASH_MEDIUM_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "device/traits.h"
#include "dmap/types.h"
#include "testing/support/random.h"

namespace dmap::testing {

/// The bytes of a device, in aligned memory of their own. Copies are deep.
class Image {
 public:
  explicit Image(FrameCount frames);
  Image(const Image& other);
  Image& operator=(const Image&) = delete;
  Image(Image&&) noexcept = default;
  Image& operator=(Image&&) noexcept = default;

  [[nodiscard]] std::byte* data() { return bytes_.get(); }
  [[nodiscard]] const std::byte* data() const { return bytes_.get(); }
  [[nodiscard]] FrameCount frames() const { return frames_; }

 private:
  struct Free {
    void operator()(std::byte* bytes) const;
  };
  FrameCount frames_;
  std::unique_ptr<std::byte, Free> bytes_;
};

/// One step of a run, as the device saw it; and the marks that whoever runs operations leaves between.
struct Event {
  enum class Kind : uint8_t { kStore, kStreaming, kFlush, kFence, kBarrier, kBegin, kEnd };
  Kind kind;
  uint64_t at = 0;                 ///< stores and flushes: a place; kBegin and kEnd: the operation's number
  uint64_t length = 0;             ///< of a flush
  std::vector<std::byte> bytes{};  ///< of a store
};

/// Grows at its end only; what is in it stays in place.
using Trace = std::deque<Event>;

/// How much of what was never made durable a power cut leaves.
enum class Loss : uint8_t {
  kAll,
  kNone,
  kUnits,  ///< each unit (cache line, page) has some prefix of its stores
  kAtoms,  ///< and the next store may be there in part: words of a line, lines of a page
};
inline constexpr Loss kLosses[] = {Loss::kAll, Loss::kNone, Loss::kUnits, Loss::kAtoms};

/// kLineFlush: units are lines of 64 bytes, atoms words of 8; what was flushed, or streamed, is durable after a fence.
/// kSync: units are pages of 4 KiB, atoms lines; everything is durable after a barrier, whatever comes first until
/// then. Events that were applied must outlive the medium.
class Medium {
 public:
  Medium(Image image, Persistence persistence);

  void apply(const Event& event);
  /// What the processor sees now, and so what a process that is killed leaves.
  [[nodiscard]] const Image& seen() const { return seen_; }
  /// The process is killed: its stores drain, nothing else happens.
  void kill();
  /// What is there when the power went now.
  [[nodiscard]] Image power_cut(Loss loss, Random& random) const;

 private:
  struct Fragment {
    uint64_t at;  // on the device
    std::span<const std::byte> bytes;
    bool flushed;
  };

  void store(const Event& event);
  void flush(uint64_t at, uint64_t length);
  void settle(bool whole);
  void tear(Image& image, const Fragment& fragment, Random& random) const;

  Persistence persistence_;
  uint64_t unit_;
  uint64_t atom_;
  Image seen_;
  Image durable_;
  std::map<uint64_t, std::vector<Fragment>> pending_;  // by unit, in the order of the stores
};

}  // namespace dmap::testing

#endif  // DMAP_TESTING_CRASH_MEDIUM_H_
