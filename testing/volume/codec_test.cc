// SPDX-License-Identifier: Apache-2.0
//
// What is decoded from the tree and the journal, fed with bytes that nobody wrote: values or errors, nothing else (J6).
#include <gtest/gtest.h>

#include "testing/support/random.h"
#include "testing/support/sanitizers.h"
#include "volume/records.h"
#include "volume/transaction.h"

namespace dmap::testing {
namespace {

/// In memory of exactly their size, so that AddressSanitizer sees each byte too far.
std::vector<std::byte> exactly(const std::string& text) {
  auto bytes = std::as_bytes(std::span(text.data(), text.size()));
  return {bytes.begin(), bytes.end()};
}

InodeRecord inode_of(FileType type, uint64_t size) {
  InodeRecord record;
  record.type = type;
  record.size = size;
  record.links = 1;
  return record;
}

/// Decodes to the end or to an error; returns how many words there were.
uint64_t read_all(std::span<const std::byte> payload) {
  auto reader = TransactionReader::open(payload);
  uint64_t words = 0;
  while (reader && !reader->at_end()) {
    auto change = reader->next();
    if (!change) {
      EXPECT_EQ(change.error().code(), Code::kCorrupt);
      break;
    }
    ++words;
    if (auto* put = std::get_if<PutKey>(&*change)) {
      EXPECT_GE(put->value.data(), payload.data());
      EXPECT_LE(put->value.data() + put->value.size(), payload.data() + payload.size());
    }
  }
  return words;
}

void decode_everything(std::span<const std::byte> bytes, uint64_t frame) {
  static_cast<void>(decode_inode(bytes, InodeNumber{5}));
  if (auto mapping = decode_extent(bytes, frame, {Pfn{0}, FrameCount{1000}})) {
    EXPECT_GT(mapping->frames, 0U);
    EXPECT_LE(static_cast<uint64_t>(mapping->pfn) + mapping->frames, 1000U);
    EXPECT_LE(frame + mapping->frames, kFileFrames);
  }
  if (auto chain = decode_dentries(bytes)) {
    for (const Dentry& dentry : *chain) EXPECT_TRUE(!dentry.name.empty() && dentry.slot < kDentrySlots);
  }
  read_all(bytes);
}

TEST(Codec, RandomBytesDecodeToValuesOrErrors) {
  uint64_t seed = from_environment("DMAP_SEED", 1);
  Random random(seed);
  static constexpr size_t kSizes[] = {0, 1, 10, 11, 12, 15, 16, 17, 95, 96, 97, 300};
  for (uint64_t round = 0; round < scaled(100000); ++round) {
    std::string text = random.bytes(random.pick(kSizes));
    if (random.chance(50)) {
      for (char& c : text) c = static_cast<char>(c & (random.chance(20) ? 7 : 0));
    }
    decode_everything(exactly(text), random.chance(80) ? random.below(2000) : random.next());
  }
}

TEST(Codec, MutatedRecordsDecodeToValuesOrErrors) {
  uint64_t seed = from_environment("DMAP_SEED", 2);
  Random random(seed);
  for (uint64_t round = 0; round < scaled(20000); ++round) {
    Dentry dentries[] = {{.inode = InodeNumber{3}, .slot = 1, .name = "first"},
                         {.inode = InodeNumber{4}, .slot = 9, .name = "b"}};
    InodeBytes inode = encode(inode_of(FileType::kRegular, 10));
    ExtentBytes extent = encode(Mapping{.file_frame = 4, .pfn = Pfn{7}, .frames = 3, .birth = 0, .written = true});
    std::vector<std::byte> chain = encode(dentries);
    Transaction txn;
    txn.put(key_of(InodeNumber{3}, Kind::kInode), inode);
    txn.erase(key_of(InodeNumber{4}, Kind::kInode));
    txn.claim({Pfn{9}, FrameCount{2}});
    txn.release({Pfn{19}, FrameCount{2}});
    auto sealed = txn.seal({.inode_next = 5, .inodes = 3});
    std::vector<std::vector<std::byte>> all = {
        {inode.begin(), inode.end()}, {extent.begin(), extent.end()}, chain, {sealed.begin(), sealed.end()}};
    ASSERT_EQ(read_all(all[3]), 4U);
    auto& bytes = random.pick(all);
    for (uint64_t i = random.between(1, 3); i > 0; --i)
      bytes[random.below(bytes.size())] = static_cast<std::byte>(random.next());
    if (random.chance(30)) bytes.resize(random.below(bytes.size() + 1));
    bytes.shrink_to_fit();
    decode_everything(bytes, 4);
  }
}

TEST(Codec, WhatIsEncodedComesBack) {
  InodeRecord inode = inode_of(FileType::kDirectory, 9);
  inode.permissions = 0751;
  inode.has_xattrs = true;
  inode.dead_from = 17;
  auto same = decode_inode(encode(inode), InodeNumber{5});
  ASSERT_TRUE(same);
  EXPECT_TRUE(same->type == inode.type && same->permissions == 0751 && same->has_xattrs && same->dead_from == 17);
  Mapping mapping{.file_frame = 4, .pfn = Pfn{997}, .frames = 3, .birth = 0, .written = false};
  EXPECT_EQ(decode_extent(encode(mapping), 4, {Pfn{0}, FrameCount{1000}}), mapping);
  EXPECT_FALSE(decode_extent(encode(mapping), 4, {Pfn{0}, FrameCount{999}}));
}

}  // namespace
}  // namespace dmap::testing
