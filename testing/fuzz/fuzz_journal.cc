// SPDX-License-Identifier: Apache-2.0
//
// Replays a ring of any bytes. Records whose checksum is all that is wrong get a right one, so that what is behind the
// checksum is reached too.
#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "journal/journal.h"
#include "testing/crash/crash_device.h"

using namespace dmap;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  auto persistence = (data[0] & 1) != 0 ? Persistence::kSync : Persistence::kLineFlush;
  JournalRegion region{.at = Bytes{0}, .size = kFrameSize, .volume_seed = 7};
  JournalPosition start{.offset = uint64_t{data[1]} % 64 * 64};
  dmap::testing::Image image(FrameCount{1});
  std::memcpy(image.data(), data + 2, std::min<size_t>(size - 2, kFrameSize.value));

  JournalPosition at = start;
  for (int i = 0; i < 64 && at.offset + sizeof(RecordHeader) <= kFrameSize.value; ++i) {
    RecordHeader header;
    std::memcpy(&header, image.data() + at.offset, sizeof header);
    header.sequence = at.sequence;
    header.chain = at.chain;
    header.epoch = at.epoch + (header.kind == RecordKind::kSession ? 1 : 0);
    header.zero = 0;
    if (header.length > kFrameSize.value - at.offset - sizeof header) break;
    header.checksum =
        checksum_of(header, {image.data() + at.offset + sizeof header, header.length}, region.volume_seed);
    std::memcpy(image.data() + at.offset, &header, sizeof header);
    auto record = record_at({image.data(), kFrameSize.value}, at, region.volume_seed);
    if (!record) break;
    at = behind(*record, at, kFrameSize.value);
  }
  dmap::testing::Trace trace;
  dmap::testing::CrashDevice device(std::move(image), persistence, trace);
  auto end = replay(device, region, start, {}, [](std::span<const std::byte> payload) -> Result<void> {
    return payload.size() > kRecordPayloadMax ? fail(Code::kCorrupt) : Result<void>();
  });
  CHECK(end.has_value() && end->position.offset < kFrameSize.value);
  return 0;
}
