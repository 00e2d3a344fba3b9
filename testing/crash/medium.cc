// SPDX-License-Identifier: Apache-2.0
#include "testing/crash/medium.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace dmap::testing {
namespace {

void put(Image& image, uint64_t at, std::span<const std::byte> bytes) {
  std::memcpy(image.data() + at, bytes.data(), bytes.size());
}

}  // namespace

void Image::Free::operator()(std::byte* bytes) const { std::free(bytes); }

Image::Image(FrameCount frames)
    : frames_(frames), bytes_(static_cast<std::byte*>(std::aligned_alloc(kFrameSize.value, bytes_of(frames).value))) {
  CHECK(bytes_ != nullptr);
  std::memset(bytes_.get(), 0, bytes_of(frames).value);
}

Image::Image(const Image& other)
    : frames_(other.frames_),
      bytes_(static_cast<std::byte*>(std::aligned_alloc(kFrameSize.value, bytes_of(other.frames_).value))) {
  CHECK(bytes_ != nullptr);
  std::memcpy(bytes_.get(), other.data(), bytes_of(frames_).value);
}

Medium::Medium(Image image, Persistence persistence)
    : persistence_(persistence),
      unit_(persistence == Persistence::kSync ? kFrameSize.value : 64),
      atom_(persistence == Persistence::kSync ? 64 : 8),
      seen_(std::move(image)),
      durable_(seen_) {}

void Medium::apply(const Event& event) {
  bool lines = persistence_ == Persistence::kLineFlush;
  switch (event.kind) {
    case Event::Kind::kStore:
    case Event::Kind::kStreaming: return store(event);
    case Event::Kind::kFlush: return flush(event.at, event.length);
    case Event::Kind::kFence:
      if (lines) settle(false);
      return;
    case Event::Kind::kBarrier: return settle(!lines);
    case Event::Kind::kBegin:
    case Event::Kind::kEnd: return;
  }
}

void Medium::store(const Event& event) {
  put(seen_, event.at, event.bytes);
  std::span<const std::byte> rest(event.bytes);
  for (uint64_t at = event.at; !rest.empty();) {
    uint64_t length = std::min<uint64_t>(rest.size(), unit_ - at % unit_);
    pending_[at / unit_].push_back({at, rest.first(length), event.kind == Event::Kind::kStreaming});
    at += length;
    rest = rest.subspan(length);
  }
}

void Medium::flush(uint64_t at, uint64_t length) {
  if (length == 0) return;
  auto end = pending_.upper_bound((at + length - 1) / unit_);
  for (auto unit = pending_.lower_bound(at / unit_); unit != end; ++unit) {
    for (Fragment& fragment : unit->second) fragment.flushed = true;
  }
}

void Medium::settle(bool whole) {
  for (auto unit = pending_.begin(); unit != pending_.end();) {
    auto& fragments = unit->second;
    // A line goes to the medium as it is: with the last flushed store come those before it.
    auto keep = fragments.end();
    while (!whole && keep != fragments.begin() && !std::prev(keep)->flushed) --keep;
    for (auto fragment = fragments.begin(); fragment != keep; ++fragment) put(durable_, fragment->at, fragment->bytes);
    fragments.erase(fragments.begin(), keep);
    unit = fragments.empty() ? pending_.erase(unit) : std::next(unit);
  }
}

void Medium::kill() {
  if (persistence_ == Persistence::kLineFlush) settle(false);
}

Image Medium::power_cut(Loss loss, Random& random) const {
  CHECK(persistence_ != Persistence::kNone);
  Image left = durable_;
  if (loss == Loss::kAll) return left;
  for (const auto& [unit, fragments] : pending_) {
    size_t there = loss == Loss::kNone ? fragments.size() : random.between(0, fragments.size());
    for (size_t i = 0; i < there; ++i) put(left, fragments[i].at, fragments[i].bytes);
    if (loss == Loss::kAtoms && there < fragments.size()) tear(left, fragments[there], random);
  }
  return left;
}

void Medium::tear(Image& image, const Fragment& fragment, Random& random) const {
  auto rest = fragment.bytes;
  for (uint64_t at = fragment.at; !rest.empty();) {
    uint64_t length = std::min<uint64_t>(rest.size(), atom_ - at % atom_);
    if (random.chance(50)) put(image, at, rest.first(length));
    at += length;
    rest = rest.subspan(length);
  }
}

}  // namespace dmap::testing
