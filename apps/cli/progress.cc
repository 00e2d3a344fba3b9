// SPDX-License-Identifier: Apache-2.0
#include "progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "sizes.h"

namespace dmap::cli {
namespace {

constexpr std::chrono::milliseconds kPeriod{100};

size_t columns() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : 80;
}

std::string show_duration(double seconds) {
  auto whole = static_cast<uint64_t>(std::llround(seconds));
  return whole < 3600 ? fmt::format("{}:{:02}", whole / 60, whole % 60)
                      : fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

}  // namespace

ProgressLine::ProgressLine(std::string command)
    : command_(std::move(command)), on_(isatty(STDERR_FILENO) == 1), next_(start_ + kPeriod) {}

void ProgressLine::add(Bytes bytes, uint64_t files) {
  done_.bytes += bytes;
  done_.files += files;
  if (on_) show_if_due();
}

Progress ProgressLine::callback(Unit unit) {
  unit_ = unit;
  return [this](uint64_t done, uint64_t total) {
    done_.bytes = Bytes{done};
    totals_.bytes = Bytes{total};
    if (on_) show_if_due();
    return true;
  };
}

void ProgressLine::show_if_due() {
  Clock::time_point now = Clock::now();
  if (now < next_) return;
  next_ = now + kPeriod;
  fmt::print(stderr, "\r\x1b[K{}", text().substr(0, columns() - 1));
  std::fflush(stderr);
  shown_ = true;
}

void ProgressLine::clear() {
  if (!std::exchange(shown_, false)) return;
  fmt::print(stderr, "\r\x1b[K");
  std::fflush(stderr);
}

double ProgressLine::seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

std::string ProgressLine::text() const {
  bool is_bytes = unit_ == Unit::kBytes;
  auto shown = [&](Bytes amount) { return is_bytes ? show_size(amount) : std::to_string(amount.value); };
  std::string line = fmt::format("{}  {}", command_, shown(done_.bytes));
  bool total_known = totals_.bytes.value != 0;
  if (total_known) line += fmt::format(" of {}", shown(std::max(done_.bytes, totals_.bytes)));
  if (!is_bytes) line += " entries";
  if (totals_.files != 0) {
    line += fmt::format("  {} of {} files", done_.files, std::max(done_.files, totals_.files));
  } else if (done_.files != 0) {
    line += fmt::format("  {} files", done_.files);
  }
  double rate = static_cast<double>(done_.bytes.value) / seconds();
  if (is_bytes) line += fmt::format("  {:.0f} MB/s", rate / 1e6);

  // A tree of small files is held up by their number, one of large files by their bytes: believe the slower clock.
  auto left = [&](uint64_t done, uint64_t total) {
    if (done == 0 || total <= done) return 0.0;
    return seconds() / static_cast<double>(done) * static_cast<double>(total - done);
  };
  double remaining = std::max(left(done_.bytes.value, totals_.bytes.value), left(done_.files, totals_.files));
  if (remaining > 0) line += fmt::format("  {} left", show_duration(remaining));
  return line;
}

}  // namespace dmap::cli
