// SPDX-License-Identifier: Apache-2.0
#include "journal/record.h"

#include <bit>
#include <cstring>

#include "base/crc32c.h"

namespace dmap {

static_assert(std::endian::native == std::endian::little, "the journal is stored little-endian");

uint32_t checksum_of(const RecordHeader& header, std::span<const std::byte> payload, uint32_t seed) {
  auto fields = std::as_bytes(std::span(&header, 1)).subspan(sizeof header.checksum);
  return crc32c(payload, crc32c(fields, seed));
}

std::optional<Record> record_at(std::span<const std::byte> ring, const JournalPosition& at, uint32_t seed) {
  if (at.offset > ring.size() || ring.size() - at.offset < sizeof(RecordHeader)) return std::nullopt;
  Record record;
  std::memcpy(&record.header, ring.data() + at.offset, sizeof record.header);
  const RecordHeader& header = record.header;
  if (header.sequence != at.sequence || header.chain != at.chain || header.zero != 0) return std::nullopt;
  // A session begins a newer epoch; everything else belongs to the session before it.
  bool epoch_continues = header.kind == RecordKind::kSession ? header.epoch > at.epoch : header.epoch == at.epoch;
  if (!epoch_continues) return std::nullopt;
  if (header.length > kRecordPayloadMax || record_size(header.length) > ring.size() - at.offset) return std::nullopt;
  if (header.kind == RecordKind::kSession && header.length != sizeof(SessionMark)) return std::nullopt;
  if (header.kind == RecordKind::kMarker && header.length != sizeof(uint64_t)) return std::nullopt;
  record.payload = ring.subspan(at.offset + sizeof header, header.length);
  if (checksum_of(header, record.payload, seed) != header.checksum) return std::nullopt;
  return record;
}

JournalPosition behind(const Record& record, const JournalPosition& at, uint64_t ring_size) {
  uint64_t end = at.offset + record_size(record.header.length);
  bool wraps = record.header.kind == RecordKind::kWrap || end == ring_size;
  SessionMark session = at.session;
  if (record.header.kind == RecordKind::kSession) std::memcpy(&session, record.payload.data(), sizeof session);
  return {.offset = wraps ? 0 : end,
          .sequence = at.sequence + 1,
          .chain = record.header.checksum,
          .epoch = record.header.epoch,
          .session = session};
}

}  // namespace dmap
