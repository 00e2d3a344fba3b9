// SPDX-License-Identifier: Apache-2.0
//
// Sessions, boots and markers: on sync media, what another boot wrote counts up to its last marker (J3, J5).
#include "testing/journal/journal_fixture.h"

namespace dmap::testing {
namespace {

using Texts = std::vector<std::string>;

Texts replayed(Ring& ring, uint64_t boot) {
  ring.replay_all(boot);
  return ring.found;
}

TEST(JournalOnSyncMedia, TheSameBootCountsEverythingAndAnotherCountsToTheMarker) {
  Ring ring(kFrameSize, Persistence::kSync);
  Journal journal = ring.open(1, 10);
  journal.append(span_of("a"));
  uint64_t durable = journal.head().sequence;
  journal.append(span_of("b"));
  journal.append_marker(durable);
  journal.append(span_of("c"));
  EXPECT_EQ(replayed(ring, 1), (Texts{"a", "b", "c"}));
  EXPECT_EQ(replayed(ring, 2), Texts{"a"});
  EXPECT_EQ(ring.replay_all(2).discarded, 3U);
}

TEST(JournalOnOtherMedia, EveryIntactRecordCounts) {
  for (Persistence kind : {Persistence::kLineFlush, Persistence::kNone}) {
    Ring ring(kFrameSize, kind);
    Journal journal = ring.open(1, 10);
    journal.append(span_of("a"));
    EXPECT_EQ(replayed(ring, 2), Texts{"a"});
  }
}

TEST(JournalOnSyncMedia, WhatAMarkerCoveredStaysWhenLaterBootsEndWithoutAMarker) {
  Ring ring(kFrameSize, Persistence::kSync);
  Journal journal = ring.open(1, 10);
  journal.append(span_of("a"));
  journal.append_marker(journal.head().sequence);
  journal.append(span_of("lost"));
  // The next boots write their sessions over the marker, and the power goes before their first barrier.
  for (uint64_t boot : {2, 3, 4}) {
    Journal later = ring.open(boot, 10 + boot);
    EXPECT_EQ(ring.found, Texts{"a"}) << boot;
    later.append(span_of("never synced"));
  }
  EXPECT_EQ(replayed(ring, 5), Texts{"a"});
}

TEST(JournalOnSyncMedia, TheStartKnowsItsBootWhenNoSessionLiesBehindIt) {
  Ring ring(kFrameSize, Persistence::kSync);
  Journal journal = ring.open(1, 10);
  ring.start = journal.head();
  journal.release(ring.start);
  journal.append(span_of("behind the checkpoint"));
  EXPECT_EQ(replayed(ring, 1), Texts{"behind the checkpoint"});
  EXPECT_EQ(replayed(ring, 2), Texts{});
}

TEST(JournalOnSyncMedia, ABootWithoutAMarkIsNeverTheSame) {
  Ring ring(kFrameSize, Persistence::kSync);
  Journal journal = ring.open(0, 10);
  journal.append(span_of("a"));
  EXPECT_EQ(replayed(ring, 0), Texts{});
}

TEST(JournalOnSyncMedia, SessionsOfOneBootFollowEachOther) {
  Ring ring(kFrameSize, Persistence::kSync);
  Texts texts;
  for (uint64_t session = 0; session < 4; ++session) {
    Journal journal = ring.open(1, 10);  // a clock that stands still: the epochs grow all the same
    texts.push_back("from session " + std::to_string(session));
    journal.append(span_of(texts.back()));
  }
  EXPECT_EQ(replayed(ring, 1), texts);
}

TEST(JournalOnSyncMedia, TheAbandonedTailOfAnotherBootNeverComesBack) {
  Ring ring(kFrameSize, Persistence::kSync);
  Journal journal = ring.open(1, 10);
  journal.append(span_of("a"));
  journal.append_marker(journal.head().sequence);
  JournalPosition cut = journal.head();
  for (int i = 0; i < 20; ++i) journal.append(span_of("abandoned"));
  Journal next = ring.open(2, 20);
  EXPECT_LE(next.head().offset, cut.offset + 64);
  for (int i = 0; i < 10; ++i) {
    next.append(span_of("n"));
    next.append_marker(next.head().sequence);
    ASSERT_EQ(replayed(ring, 3).size(), 2U + static_cast<size_t>(i));
    ASSERT_EQ(ring.found.back(), "n");
  }
}

TEST(Journal, ARecordOfAnEarlierEpochDoesNotContinueTheChain) {
  Ring ring;
  Journal journal = ring.open(1, 10);
  JournalPosition at = journal.head();
  journal.append(span_of("a"));
  auto bytes = std::span(ring.device->data() + ring.region.at.value, ring.region.size.value);
  ASSERT_TRUE(record_at(bytes, at, ring.region.volume_seed));
  for (auto change : {+[](JournalPosition& p) { ++p.epoch; }, +[](JournalPosition& p) { --p.epoch; },
                      +[](JournalPosition& p) { ++p.sequence; }, +[](JournalPosition& p) { ++p.chain; }}) {
    JournalPosition other = at;
    change(other);
    EXPECT_FALSE(record_at(bytes, other, ring.region.volume_seed));
  }
  EXPECT_FALSE(record_at(bytes, at, ring.region.volume_seed + 1)) << "another volume's";
}

}  // namespace
}  // namespace dmap::testing
