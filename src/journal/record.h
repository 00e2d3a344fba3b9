// SPDX-License-Identifier: Apache-2.0
//
// A journal record on the medium: a header of 32 bytes and its payload, padded to whole 64-byte lines.
#ifndef DMAP_JOURNAL_RECORD_H_
#define DMAP_JOURNAL_RECORD_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <type_traits>

namespace dmap {

enum class RecordKind : uint16_t {
  kOperation = 1,  ///< payload: one operation, in the words of the volume layer
  kSession = 2,    ///< payload: SessionMark; an open for writing starts here
  kMarker = 3,  ///< payload: a sequence number; every record before that one was durable, with its data, at this time
  kWrap = 4,    ///< no payload: the next record lies at the journal's start
};

/// Little-endian. `checksum` is CRC-32C over the rest of the header and the payload, seeded with the volume's tag, so
/// that no other volume's journal is ever taken for this one's.
struct RecordHeader {
  uint32_t checksum;
  uint32_t length;    ///< of the payload, in bytes
  uint64_t sequence;  ///< counts records, over wraps and sessions
  uint64_t epoch;     ///< of the open that wrote it; a tail that an earlier open left behind has an older one
  uint32_t chain;     ///< checksum of the record before
  RecordKind kind;
  uint16_t zero;
};
static_assert(sizeof(RecordHeader) == 32 && std::has_unique_object_representations_v<RecordHeader>);

/// What a session begins with: the boot of the machine it ran in (see rule J3).
struct SessionMark {
  std::byte boot[16];
  friend bool operator==(const SessionMark&, const SessionMark&) = default;
};
static_assert(sizeof(SessionMark) == 16);

inline constexpr uint64_t kRecordAlign = 64;
/// The largest payload that a journal takes.
inline constexpr uint64_t kRecordPayloadMax = uint64_t{256} << 10;

/// Bytes that a record with this payload takes in the ring.
constexpr uint64_t record_size(uint64_t payload) {
  return (sizeof(RecordHeader) + payload + kRecordAlign - 1) & ~(kRecordAlign - 1);
}

/// A place between records: where the next one begins, its number, the checksum it must name, and the session it is in.
/// A checkpoint keeps all of it, since the record that began the session may be overwritten after it.
struct JournalPosition {
  uint64_t offset = 0;  ///< bytes from the ring's start
  uint64_t sequence = 1;
  uint32_t chain = 0;
  uint64_t epoch = 0;     ///< of the session that the record before belongs to
  SessionMark session{};  ///< likewise
};

struct Record {
  RecordHeader header;
  std::span<const std::byte> payload;
};

/// The record at `at` in `ring`, if an intact one that continues the chain lies there. Total: any bytes may be there.
std::optional<Record> record_at(std::span<const std::byte> ring, const JournalPosition& at, uint32_t seed);

/// Fills in the checksum of a header whose other fields are final.
uint32_t checksum_of(const RecordHeader& header, std::span<const std::byte> payload, uint32_t seed);

/// The place behind `record`, which lies at `at`.
JournalPosition behind(const Record& record, const JournalPosition& at, uint64_t ring_size);

}  // namespace dmap

#endif  // DMAP_JOURNAL_RECORD_H_
