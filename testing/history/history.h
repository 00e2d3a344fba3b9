// SPDX-License-Identifier: Apache-2.0
//
// Files as arrays of 8-byte registers: threads write and read words that say what they are, every call is recorded with
// the moments between which it happened, and afterwards one checker says which reads cannot have been right.
#ifndef DMAP_TESTING_HISTORY_HISTORY_H_
#define DMAP_TESTING_HISTORY_HISTORY_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace dmap::testing {

/// What is tested: a volume's files, or something that claims to be as good. Any thread.
class Registers {
 public:
  virtual ~Registers() = default;
  virtual void write(uint32_t file, uint32_t place, std::span<const uint64_t> words) = 0;
  virtual void read(uint32_t file, uint32_t place, std::span<uint64_t> words) = 0;
};

struct HistoryOptions {
  uint64_t seed = 1;
  uint32_t threads = 4;     ///< at most 63
  uint64_t calls = 50'000;  ///< of each thread
  uint32_t files = 3;
  uint32_t places = 4096;     ///< words of each file
  uint32_t hot_places = 256;  ///< how many of them get most of the calls
  uint32_t words_max = 16;    ///< of one call
};

/// One word of one call.
struct Event {
  enum class Kind : uint8_t { kWrite, kRead } kind;
  uint32_t file;
  uint32_t place;
  uint64_t word;
  int64_t invoked;  ///< nanoseconds on one clock
  int64_t responded;
};

/// Runs threads that read and write at random. Every register begins as zero.
std::vector<Event> record(Registers& registers, const HistoryOptions& options);

/// Every read that was wrong, in words: a word of another file or place, one that nobody wrote, one from the future, or
/// one that had been overwritten for certain before the read began. "For certain" after Lamport's regular register
/// ("On interprocess communication", 1986), and once a read has seen a write, no later read may see what came before.
std::vector<std::string> violations(const std::vector<Event>& history);

}  // namespace dmap::testing

#endif  // DMAP_TESTING_HISTORY_HISTORY_H_
