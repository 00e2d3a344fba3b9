// SPDX-License-Identifier: Apache-2.0
//
// Words that say what they are: who wrote them, when, into which file and where. A word that turns up anywhere else,
// or that nobody wrote, is recognised by itself.
#ifndef DMAP_TESTING_SUPPORT_STAMP_H_
#define DMAP_TESTING_SUPPORT_STAMP_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace dmap::testing {

/// writer: 1 to 63; file: below 2^8; place: the word's index in the file, below 2^18 (2 MiB); sequence: below 2^24.
struct Stamp {
  uint32_t writer = 0;
  uint32_t file = 0;
  uint32_t place = 0;
  uint32_t sequence = 0;
  friend bool operator==(const Stamp&, const Stamp&) = default;
};

constexpr uint64_t stamp_check(uint64_t low56) { return ((low56 * 0x9e3779b97f4a7c15) >> 56) ^ 0x5a; }

constexpr uint64_t encode(Stamp stamp) {
  uint64_t low56 = uint64_t{stamp.writer & 0x3f} | uint64_t{stamp.file & 0xff} << 6 |
                   uint64_t{stamp.place & 0x3ffff} << 14 | uint64_t{stamp.sequence & 0xffffff} << 32;
  return low56 | stamp_check(low56) << 56;
}

/// The stamp in `word`; nothing if it is none (zero is none).
constexpr std::optional<Stamp> decode(uint64_t word) {
  uint64_t low56 = word & ((uint64_t{1} << 56) - 1);
  if ((word >> 56) != stamp_check(low56) || (low56 & 0x3f) == 0) return std::nullopt;
  return Stamp{static_cast<uint32_t>(low56 & 0x3f), static_cast<uint32_t>(low56 >> 6 & 0xff),
               static_cast<uint32_t>(low56 >> 14 & 0x3ffff), static_cast<uint32_t>(low56 >> 32 & 0xffffff)};
}

enum class WordKind : uint8_t { kOwn, kZero, kOtherFile, kOtherPlace, kGarbage };

/// What a word read from word `place` of `file` is.
constexpr WordKind kind_of(uint64_t word, uint32_t file, uint32_t place) {
  if (word == 0) return WordKind::kZero;
  std::optional<Stamp> stamp = decode(word);
  if (!stamp) return WordKind::kGarbage;
  if (stamp->file != file) return WordKind::kOtherFile;
  return stamp->place == place ? WordKind::kOwn : WordKind::kOtherPlace;
}

inline std::string describe(uint64_t word) {
  std::optional<Stamp> stamp = decode(word);
  if (!stamp) return word == 0 ? "zero" : "garbage " + std::to_string(word);
  return "{writer " + std::to_string(stamp->writer) + ", file " + std::to_string(stamp->file) + ", place " +
         std::to_string(stamp->place) + ", sequence " + std::to_string(stamp->sequence) + "}";
}

/// `count` stamped words for places [place, place + count).
inline std::vector<uint64_t> stamped(uint32_t writer, uint32_t file, uint32_t place, uint32_t sequence, size_t count) {
  std::vector<uint64_t> words(count);
  for (size_t i = 0; i < count; ++i) words[i] = encode({writer, file, place + static_cast<uint32_t>(i), sequence});
  return words;
}

inline std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span<const char>(text));
}

inline std::span<const std::byte> bytes_of(const std::vector<uint64_t>& words) {
  return std::as_bytes(std::span<const uint64_t>(words));
}

}  // namespace dmap::testing

#endif  // DMAP_TESTING_SUPPORT_STAMP_H_
