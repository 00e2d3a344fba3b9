// SPDX-License-Identifier: Apache-2.0
//
// Decodes any bytes as everything that is read from a device: superblock, root slot, values of the tree, journal words,
// nodes. What has a checksum gets a right one first.
#include <cstring>

#include "base/crc32c.h"
#include "tree/node_check.h"
#include "volume/format.h"
#include "volume/records.h"
#include "volume/transaction.h"

using namespace dmap;

namespace {

void decode_fixed(std::span<const uint8_t> input) {
  Superblock superblock{.uuid = {1}, .frames = FrameCount{4096}, .journal_frames = FrameCount{256}};
  RootSlot root;
  root.zones = {{Pfn{300}, FrameCount{64}}};
  for (bool slot : {false, true}) {
    FrameBytes frame = slot ? encode(root, superblock.tag()) : encode(superblock);
    for (size_t i = 12; i < input.size() && i < frame.size(); ++i) frame[i] ^= std::byte{input[i]};
    std::memset(frame.data() + 8, 0, 4);
    uint32_t sum = crc32c(frame);
    std::memcpy(frame.data() + 8, &sum, sizeof sum);
    if (slot) {
      static_cast<void>(decode_root_slot(frame, superblock));
    } else {
      static_cast<void>(decode_superblock(frame, FrameCount{4096}, "fuzz"));
    }
  }
}

void verify_node(std::span<const uint8_t> input) {
  alignas(Node) static Node node;
  std::memset(static_cast<void*>(&node), 0, sizeof node);
  std::memcpy(static_cast<void*>(&node), input.data(), std::min(input.size(), sizeof node));
  node.header.crc = node_crc(node);
  Expected expected;
  expected.level = node.header.level;
  static_cast<void>(node_fault(node, expected));
  static_cast<void>(stored_node_fault(node, expected));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::span<const uint8_t> input(data, size);
  auto bytes = std::as_bytes(input);
  static_cast<void>(decode_inode(bytes, InodeNumber{2}));
  static_cast<void>(decode_extent(bytes, size > 0 ? data[0] : 0, {Pfn{0}, FrameCount{4096}}));
  static_cast<void>(decode_dentries(bytes));
  auto reader = TransactionReader::open(bytes);
  while (reader && !reader->at_end() && reader->next()) {
  }
  decode_fixed(input);
  verify_node(input);
  return 0;
}
