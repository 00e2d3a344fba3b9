// SPDX-License-Identifier: Apache-2.0
//
// The line at the bottom of the terminal that says how far a long command is.
#ifndef DMAP_CLI_PROGRESS_H_
#define DMAP_CLI_PROGRESS_H_

#include <chrono>
#include <cstdint>
#include <string>

#include "dmap/options.h"
#include "dmap/types.h"

namespace dmap::cli {

/// How much there is to do, where that is known.
struct Totals {
  Bytes bytes;
  uint64_t files = 0;
};

/// One line on standard error, only if that is a terminal, at most ten times a second; gone when this object is.
/// One thread.
class ProgressLine {
 public:
  explicit ProgressLine(std::string command);
  ~ProgressLine() { clear(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  /// Nothing is shown otherwise: no need to count beforehand.
  [[nodiscard]] bool on() const { return on_; }
  void expect(Totals totals) { totals_ = totals; }

  /// Counts what was done since the last call.
  void add(Bytes bytes, uint64_t files = 0);

  /// For the library's long operations, which count by themselves.
  enum class Unit : uint8_t { kBytes, kEntries };
  [[nodiscard]] Progress callback(Unit unit);

  /// Takes the line away, so that a message can be printed; the next update brings it back.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  void show_if_due();
  [[nodiscard]] std::string text() const;
  [[nodiscard]] double seconds() const;

  std::string command_;
  bool on_;
  bool shown_ = false;
  Unit unit_ = Unit::kBytes;
  Totals totals_;
  Totals done_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point next_ = start_;
};

}  // namespace dmap::cli

#endif  // DMAP_CLI_PROGRESS_H_
