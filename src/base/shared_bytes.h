// SPDX-License-Identifier: Apache-2.0
//
// Copies of bytes that several threads may read and overwrite at the same moment, as those of a file may be: the API
// orders nothing between them ("as with memory"), and promises that aligned 8-byte words stay whole.
//
// Whole means: a store leaves each aligned word that it covers as it wrote it, at once, so that neither another thread
// nor a power cut finds a mix; a load finds no mix where both its ends have the same place within a word. The bytes of
// a word that is covered only in part are on their own.
//
// C++ has no name for such a copy, so here is what it rests on. A CPU performs an aligned 8-byte part of a vector load
// or store whole (on x86-64 and arm64, also where the vector as a whole may be split), and a short memcpy() moves
// nothing in smaller parts than words if address and length are multiples of words. So the words are cut out first.
// Under ThreadSanitizer they are relaxed atomics, one by one: it reports what is plain on the other side, and no more.
#ifndef DMAP_BASE_SHARED_BYTES_H_
#define DMAP_BASE_SHARED_BYTES_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/sanitizers.h"

namespace dmap {

namespace detail {

#ifdef DMAP_TSAN

using SharedWord [[gnu::may_alias]] = uint64_t;

// relaxed, all of them: the bytes are ordered by what publishes them, or not at all
inline void store_words(std::byte* to, const std::byte* from, size_t length) {
  for (size_t at = 0; at < length; at += sizeof(uint64_t)) {
    uint64_t word = 0;
    std::memcpy(&word, from + at, sizeof word);
    __atomic_store_n(reinterpret_cast<SharedWord*>(to + at), word, __ATOMIC_RELAXED);
  }
}
inline void load_words(std::byte* to, const std::byte* from, size_t length) {
  for (size_t at = 0; at < length; at += sizeof(uint64_t)) {
    uint64_t word = __atomic_load_n(reinterpret_cast<const SharedWord*>(from + at), __ATOMIC_RELAXED);
    std::memcpy(to + at, &word, sizeof word);
  }
}
inline void zero_words(std::byte* to, size_t length) {
  for (size_t at = 0; at < length; at += sizeof(uint64_t)) {
    __atomic_store_n(reinterpret_cast<SharedWord*>(to + at), uint64_t{0}, __ATOMIC_RELAXED);
  }
}
inline void store_edge(std::byte* to, const std::byte* from, size_t length) {
  for (size_t at = 0; at < length; ++at) {
    __atomic_store_n(reinterpret_cast<unsigned char*>(to + at), static_cast<unsigned char>(from[at]), __ATOMIC_RELAXED);
  }
}
inline void load_edge(std::byte* to, const std::byte* from, size_t length) {
  for (size_t at = 0; at < length; ++at) {
    to[at] = std::byte{__atomic_load_n(reinterpret_cast<const unsigned char*>(from + at), __ATOMIC_RELAXED)};
  }
}
inline void zero_edge(std::byte* to, size_t length) {
  for (size_t at = 0; at < length; ++at) {
    __atomic_store_n(reinterpret_cast<unsigned char*>(to + at), static_cast<unsigned char>(0), __ATOMIC_RELAXED);
  }
}

#else

/// From a few KiB on memcpy() may be one instruction that moves bytes (`rep movsb`), and tears words; shorter ones are
/// loads and stores of vectors.
inline constexpr size_t kWholeWords = 1984;

inline void copy_words(std::byte* to, const std::byte* from, size_t length) {
  for (size_t at = 0; at < length; at += kWholeWords)
    std::memcpy(to + at, from + at, std::min(length - at, kWholeWords));
}
inline void store_words(std::byte* to, const std::byte* from, size_t length) { copy_words(to, from, length); }
inline void load_words(std::byte* to, const std::byte* from, size_t length) { copy_words(to, from, length); }
inline void zero_words(std::byte* to, size_t length) { std::memset(to, 0, length); }
inline void store_edge(std::byte* to, const std::byte* from, size_t length) { std::memcpy(to, from, length); }
inline void load_edge(std::byte* to, const std::byte* from, size_t length) { std::memcpy(to, from, length); }
inline void zero_edge(std::byte* to, size_t length) { std::memset(to, 0, length); }

#endif

/// [at, at + length), cut at the first and the last multiple of a word in it.
struct WordCut {
  WordCut(const std::byte* at, size_t length)
      : head(std::min<size_t>(length, -reinterpret_cast<uintptr_t>(at) % sizeof(uint64_t))),
        words((length - head) / sizeof(uint64_t) * sizeof(uint64_t)),
        tail(length - head - words) {}
  size_t head;
  size_t words;  // in bytes
  size_t tail;
};

}  // namespace detail

/// Copies private bytes into shared ones. The ranges must not overlap; here and below, `length` may be 0.
inline void store_shared(std::byte* to, const std::byte* from, size_t length) {
  auto [head, words, tail] = detail::WordCut(to, length);
  if (head > 0) detail::store_edge(to, from, head);
  if (words > 0) detail::store_words(to + head, from + head, words);
  if (tail > 0) detail::store_edge(to + head + words, from + head + words, tail);
}

/// Zeroes shared bytes.
inline void zero_shared(std::byte* to, size_t length) {
  auto [head, words, tail] = detail::WordCut(to, length);
  if (head > 0) detail::zero_edge(to, head);
  if (words > 0) detail::zero_words(to + head, words);
  if (tail > 0) detail::zero_edge(to + head + words, tail);
}

/// Copies shared bytes into private ones. The ranges must not overlap.
inline void load_shared(std::byte* to, const std::byte* from, size_t length) {
  auto [head, words, tail] = detail::WordCut(from, length);
  if (head > 0) detail::load_edge(to, from, head);
  if (words > 0) detail::load_words(to + head, from + head, words);
  if (tail > 0) detail::load_edge(to + head + words, from + head + words, tail);
}

}  // namespace dmap

#endif  // DMAP_BASE_SHARED_BYTES_H_
