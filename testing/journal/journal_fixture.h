// SPDX-License-Identifier: Apache-2.0
#ifndef DMAP_TESTING_JOURNAL_JOURNAL_FIXTURE_H_
#define DMAP_TESTING_JOURNAL_JOURNAL_FIXTURE_H_

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "journal/journal.h"
#include "testing/crash/crash_device.h"

namespace dmap::testing {

inline SessionMark boot_number(uint64_t number) {
  SessionMark mark{};
  std::memcpy(mark.boot, &number, sizeof number);
  return mark;
}

inline std::span<const std::byte> span_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// A ring on a device of its own, and what a replay of it says. The ring fills the device's end, so that a read behind
/// it leaves the memory that AddressSanitizer knows.
struct Ring {
  explicit Ring(Bytes size = kFrameSize, Persistence kind = Persistence::kLineFlush)
      : persistence(kind),
        device(std::make_unique<CrashDevice>(Image(frames_within(size) + FrameCount{1}), kind, trace)),
        region{.at = kFrameSize, .size = size, .volume_seed = 77} {}

  /// Goes on as an open would: behind what counts, in a new session.
  Journal open(uint64_t boot, uint64_t epoch) {
    ReplayEnd end = replay_all(boot);
    Journal journal(*device, region, start, end.position);
    journal.begin_session(boot_number(boot), epoch);
    return journal;
  }

  ReplayEnd replay_all(uint64_t boot) {
    found.clear();
    auto end =
        replay(*device, region, start, boot_number(boot), [&](std::span<const std::byte> payload) -> Result<void> {
          found.emplace_back(reinterpret_cast<const char*>(payload.data()), payload.size());
          return {};
        });
    EXPECT_TRUE(end.has_value());
    return *end;
  }

  [[nodiscard]] std::string bytes() const {
    return {reinterpret_cast<const char*>(device->data()) + region.at.value, region.size.value};
  }
  void put(uint64_t at, std::span<const std::byte> what) { device->store(region.at + Bytes{at}, what); }
  void put(const std::string& ring) { put(0, span_of(ring)); }

  Persistence persistence;
  Trace trace;
  std::unique_ptr<CrashDevice> device;
  JournalRegion region;
  JournalPosition start;
  std::vector<std::string> found;  ///< by the last replay
};

}  // namespace dmap::testing

#endif  // DMAP_TESTING_JOURNAL_JOURNAL_FIXTURE_H_
