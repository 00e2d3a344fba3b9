// SPDX-License-Identifier: Apache-2.0
#include "testing/model/content.h"

#include <algorithm>

namespace dmap::testing {

std::string Content::read(uint64_t offset, uint64_t length) const {
  if (offset >= size_) return {};
  std::string text(std::min(length, size_ - offset), '\0');
  uint64_t end = offset + text.size();
  for (auto it = blocks_.lower_bound(offset / kBlock); it != blocks_.end() && it->first * kBlock < end; ++it) {
    uint64_t first = std::max(offset, it->first * kBlock);
    uint64_t last = std::min(end, (it->first + 1) * kBlock);
    it->second.copy(text.data() + (first - offset), last - first, first % kBlock);
  }
  return text;
}

void Content::write(uint64_t offset, std::string_view text) {
  if (text.empty()) return;
  size_ = std::max(size_, offset + text.size());
  while (!text.empty()) {
    std::string& block = blocks_.try_emplace(offset / kBlock, kBlock, '\0').first->second;
    uint64_t part = std::min<uint64_t>(text.size(), kBlock - offset % kBlock);
    block.replace(offset % kBlock, part, text.substr(0, part));
    text.remove_prefix(part);
    offset += part;
  }
}

void Content::truncate(uint64_t size) {
  if (size < size_) {
    punch(size, size_ - size);
    blocks_.erase(blocks_.lower_bound((size + kBlock - 1) / kBlock), blocks_.end());
  }
  size_ = size;
}

void Content::punch(uint64_t offset, uint64_t length) {
  uint64_t end = offset + length;
  for (auto it = blocks_.lower_bound(offset / kBlock); it != blocks_.end() && it->first * kBlock < end;) {
    uint64_t first = std::max(offset, it->first * kBlock);
    uint64_t last = std::min(end, (it->first + 1) * kBlock);
    if (last - first == kBlock) {
      it = blocks_.erase(it);
    } else {
      std::fill_n(it->second.begin() + static_cast<std::ptrdiff_t>(first % kBlock), last - first, '\0');
      ++it;
    }
  }
}

std::optional<uint64_t> Content::first_nonzero(uint64_t offset) const {
  for (auto it = blocks_.lower_bound(offset / kBlock); it != blocks_.end(); ++it) {
    uint64_t from = std::max(offset, it->first * kBlock) - it->first * kBlock;
    size_t found = it->second.find_first_not_of('\0', from);
    if (found != std::string::npos) return it->first * kBlock + found;
  }
  return std::nullopt;
}

bool Content::all_written(uint64_t offset, uint64_t length) const {
  for (uint64_t block = offset / kBlock; block * kBlock < offset + length; ++block) {
    if (!blocks_.contains(block)) return false;
  }
  return true;
}

}  // namespace dmap::testing
