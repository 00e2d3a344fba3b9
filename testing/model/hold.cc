// SPDX-License-Identifier: Apache-2.0
#include "testing/model/hold.h"

#include <algorithm>
#include <utility>

#include "base/bits.h"

namespace dmap::testing {

Hold::Hold(std::variant<View, Pin> held, InodeNumber inode, uint64_t offset, std::string text, Access access)
    : held_(std::move(held)),
      inode_(inode),
      offset_(offset),
      text_(std::move(text)),
      states_(text_.size(), State::kFile),
      access_(access) {}

void Hold::set(uint64_t offset, uint64_t end, State state) {
  uint64_t first = std::max(offset, offset_);
  uint64_t last = std::min(end, offset_ + text_.size());
  for (uint64_t at = first; at < last; ++at) {
    State& old = states_[at - offset_];
    if (old == State::kFile) old = state;
  }
}

void Hold::changed(uint64_t offset, uint64_t end) { set(offset, end, State::kOpen); }

void Hold::removed(uint64_t offset, uint64_t end) {
  uint64_t first_whole = round_up(offset, kFrameSize.value);
  uint64_t last_whole = std::max(first_whole, round_down(end, kFrameSize.value));
  set(offset, std::min(first_whole, end), State::kOpen);
  set(first_whole, last_whole, State::kOwn);
  set(std::max(last_whole, offset), end, State::kOpen);
}

std::vector<std::span<const std::byte>> Hold::pieces() const {
  if (const View* view = std::get_if<View>(&held_)) return {view->pieces().begin(), view->pieces().end()};
  std::vector<std::span<const std::byte>> spans;
  for (const Piece& piece : std::get<Pin>(held_).pieces()) spans.emplace_back(piece.address, piece.length.value);
  return spans;
}

std::string Hold::difference() const {
  uint64_t at = 0;
  for (std::span<const std::byte> piece : pieces()) {
    for (std::byte byte : piece) {
      if (at >= text_.size()) return "holds more than was asked for";
      if (states_[at] != State::kOpen && static_cast<char>(byte) != text_[at]) {
        return "byte " + std::to_string(offset_ + at) + (states_[at] == State::kOwn ? " (own)" : " (file)") + " is " +
               std::to_string(static_cast<int>(byte)) + ", must be " +
               std::to_string(static_cast<int>(static_cast<unsigned char>(text_[at])));
      }
      ++at;
    }
  }
  return at == text_.size() ? "" : "holds " + std::to_string(at) + " bytes of " + std::to_string(text_.size());
}

std::optional<uint64_t> Hold::poke(uint64_t at, char byte) {
  if (access_ != Access::kReadWrite || states_[at] == State::kOpen) return std::nullopt;
  uint64_t skip = at;
  for (const Piece& piece : std::get<Pin>(held_).pieces()) {
    if (skip < piece.length.value) {
      piece.address[skip] = static_cast<std::byte>(byte);
      break;
    }
    skip -= piece.length.value;
  }
  text_[at] = byte;
  return states_[at] == State::kFile ? std::optional(offset_ + at) : std::nullopt;
}

}  // namespace dmap::testing
