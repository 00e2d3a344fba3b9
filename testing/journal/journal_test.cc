// SPDX-License-Identifier: Apache-2.0
//
// The ring: what is appended is replayed, around its end as well, and nothing else is, whatever bytes are there.
#include "journal/journal.h"

#include <algorithm>
#include <deque>

#include "testing/journal/journal_fixture.h"
#include "testing/support/random.h"
#include "testing/support/sanitizers.h"

namespace dmap::testing {
namespace {

using Texts = std::vector<std::string>;

TEST(Journal, WhatWasAppendedIsReplayedInOrder) {
  Ring ring(64_KiB);
  Journal journal = ring.open(1, 10);
  Texts texts;
  for (size_t size : {0, 1, 31, 32, 33, 95, 96, 97, 900, 1000, 5000}) {
    texts.emplace_back(size, static_cast<char>('a' + texts.size()));
    journal.append(span_of(texts.back()));
  }
  ReplayEnd end = ring.replay_all(2);
  EXPECT_EQ(ring.found, texts);
  EXPECT_EQ(end.operations, texts.size());
  EXPECT_EQ(end.position.offset, journal.head().offset);
  EXPECT_EQ(end.position.sequence, journal.head().sequence);
  EXPECT_EQ(end.position.chain, journal.head().chain);
}

TEST(Journal, ARecordIsFoundAtEveryDistanceToTheRingsEnd) {
  for (uint64_t before = 64; before <= kFrameSize.value; before += 64) {
    for (uint64_t size : {0, 32, 33, 96, 160, 900, 1500}) {
      Ring ring(8_KiB);
      Journal journal = ring.open(1, 10);
      // Fill up to `before` bytes from the end, and give that room back.
      while (journal.head().offset < 8192 - before) {
        uint64_t left = 8192 - before - journal.head().offset;
        std::string text(left >= 512 ? 480 : 0, 'x');
        journal.append(span_of(text));
        ring.start = journal.head();
        journal.release(ring.start);
      }
      ASSERT_EQ(journal.used(), Bytes{0});
      Texts texts = {std::string(size, 'a'), std::string(size, 'b')};
      for (const std::string& text : texts) journal.append(span_of(text));
      ring.replay_all(2);
      ASSERT_EQ(ring.found, texts) << before << " bytes from the end, " << size << " bytes long";
    }
  }
}

TEST(Journal, RoomIsCountedAsAReferenceCountsIt) {
  uint64_t seed = from_environment("DMAP_SEED", 1);
  for (uint64_t round = 0; round < scaled(40); ++round) {
    SCOPED_TRACE("seed " + std::to_string(seed + round));
    Random random(seed + round);
    Ring ring(8_KiB);
    Journal journal = ring.open(1, 10);
    struct Kept {
      std::string text;
      JournalPosition behind;
    };
    std::deque<Kept> kept;
    for (uint64_t step = 0; step < from_environment("DMAP_OPS", 400); ++step) {
      std::string text = random.bytes(random.below(random.chance(80) ? 300 : 3000));
      if (journal.has_room(text.size()) && random.chance(70)) {
        journal.append(span_of(text));
        kept.push_back({text, journal.head()});
      } else if (!kept.empty()) {
        uint64_t count = random.between(1, kept.size());
        ring.start = kept[count - 1].behind;
        journal.release(ring.start);
        kept.erase(kept.begin(), kept.begin() + static_cast<ptrdiff_t>(count));
      }
      // The reference: from start to head around the ring, which never meet but when it is empty.
      uint64_t between = (journal.head().offset + 8192 - ring.start.offset) % 8192;
      ASSERT_EQ(journal.used().value, kept.empty() && ring.start.sequence == journal.head().sequence ? 0 : between);
      Texts texts;
      for (const Kept& one : kept) texts.push_back(one.text);
      ring.replay_all(2);
      ASSERT_EQ(ring.found, texts);
    }
  }
}

TEST(Journal, AFullRingSaysSoAndTakesAMarkerAndASessionStill) {
  Ring ring;
  Journal journal = ring.open(1, 10);
  uint64_t count = 0;
  for (; journal.has_room(40); ++count) journal.append(span_of(std::string(40, 'x')));
  EXPECT_FALSE(journal.has_room(40));
  EXPECT_GT(count, 10U);
  journal.append_marker(journal.head().sequence);
  ring.open(1, 20);
  EXPECT_EQ(ring.found.size(), count);
  ring.replay_all(1);
  EXPECT_EQ(ring.found.size(), count);
}

TEST(Journal, APayloadHasALargestSize) {
  Ring ring(1_MiB);
  Journal journal = ring.open(1, 10);
  EXPECT_FALSE(journal.has_room(kRecordPayloadMax + 1));
  ASSERT_TRUE(journal.has_room(kRecordPayloadMax));
  std::string text(kRecordPayloadMax, 'x');
  journal.append(span_of(text));
  ring.replay_all(2);
  EXPECT_EQ(ring.found, Texts{text});
}

TEST(Journal, ATornLastRecordIsNotThereAndAStaleOneBehindItNeverRevives) {
  Ring ring;
  Journal journal = ring.open(1, 10);
  journal.append(span_of("first"));
  JournalPosition torn_at = journal.head();
  std::string before = ring.bytes();
  std::string torn = std::string(100, 't');
  journal.append(span_of(torn));
  JournalPosition stale_at = journal.head();
  journal.append(span_of("stale"));
  std::string whole = ring.bytes();
  uint64_t stored = sizeof(RecordHeader) + torn.size();
  for (uint64_t there = 0; there < stored; ++there) {
    // The first `there` bytes of the torn record reached the medium, and all of the one behind it.
    std::string cut = whole;
    cut.replace(torn_at.offset + there, stored - there, before, torn_at.offset + there, stored - there);
    ring.put(cut);
    ReplayEnd end = ring.replay_all(2);
    ASSERT_EQ(ring.found, Texts{"first"}) << there << " bytes";
    // The next session writes a record of the torn one's size where it was: the stale one is next to it again.
    Journal next = ring.open(2, 20);
    ASSERT_EQ(end.position.offset, torn_at.offset);
    next.append(span_of(std::string(stale_at.offset - next.head().offset - sizeof(RecordHeader), 'n')));
    ASSERT_EQ(next.head().offset, stale_at.offset);
    ring.replay_all(3);
    ASSERT_EQ(ring.found.size(), 2U) << there << " bytes";
  }
}

TEST(Journal, AnyDamagedByteEndsTheReplayAtItsRecordAndNowhereElse) {
  Ring ring;
  Journal journal = ring.open(1, 10);
  std::vector<uint64_t> ends;
  for (int i = 0; i < 6; ++i) {
    journal.append(span_of(std::string(static_cast<size_t>(i) * 20, 'a')));
    ends.push_back(journal.head().offset);
  }
  std::string good = ring.bytes();
  for (uint64_t at = 0; at < good.size(); ++at) {
    for (char bits : {char(1), char(0x80), char(0xff)}) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ bits);
      ring.put(bad);
      ring.replay_all(2);
      // Padding and what lies behind the head is nobody's; the session's record comes first.
      uint64_t whole =
          static_cast<uint64_t>(std::count_if(ends.begin(), ends.end(), [&](uint64_t end) { return end <= at; }));
      ASSERT_TRUE(ring.found.size() == ends.size() || ring.found.size() == whole) << at;
    }
  }
}

TEST(Journal, RandomBytesAreReplayedWithoutACrash) {
  uint64_t seed = from_environment("DMAP_SEED", 5);
  for (uint64_t round = 0; round < scaled(2000); ++round) {
    Random random(seed + round);
    Ring ring;
    Journal journal = ring.open(1, 10);
    while (journal.has_room(200)) journal.append(span_of(random.bytes(random.below(200))));
    std::string bytes = ring.bytes();
    for (int i = 0; i < 4; ++i) {
      uint64_t from = random.below(bytes.size());
      uint64_t to = random.below(bytes.size());
      uint64_t length = random.below(bytes.size() - std::max(from, to)) + 1;
      random.chance(50) ? bytes.replace(to, length, random.bytes(length))
                        : bytes.replace(to, length, bytes, from, length);
    }
    ring.put(bytes);
    // Any start too, where a slot could name it.
    ring.start.offset = random.below(bytes.size() / 64) * 64;
    if (random.chance(50)) ring.start.offset = 0;
    ReplayEnd end = ring.replay_all(2);
    ASSERT_LT(end.position.offset, bytes.size()) << "seed " << seed + round;
  }
}

TEST(Journal, ReplayStopsAtTheFirstErrorOfItsUser) {
  Ring ring;
  Journal journal = ring.open(1, 10);
  for (const char* text : {"a", "b", "c"}) journal.append(span_of(text));
  int calls = 0;
  auto end = replay(*ring.device, ring.region, ring.start, {}, [&](std::span<const std::byte>) -> Result<void> {
    if (++calls == 2) return fail(Code::kCorrupt);
    return {};
  });
  EXPECT_FALSE(end.has_value());
  EXPECT_EQ(calls, 2);
}

}  // namespace
}  // namespace dmap::testing
