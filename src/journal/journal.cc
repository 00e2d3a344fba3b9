// SPDX-License-Identifier: Apache-2.0
#include "journal/journal.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/check.h"
#include "base/crc32c.h"

namespace dmap {
namespace {

/// Room that operations never take: a wrap, a marker and a session must always fit.
constexpr uint64_t kSlack = 1024;

/// Bytes from one place of the ring forward to another.
uint64_t distance(uint64_t from, uint64_t to, uint64_t ring) { return to >= from ? to - from : ring - from + to; }

std::span<const std::byte> ring_of(const Device& device, const JournalRegion& region) {
  return {device.data() + region.at.value, region.size.value};
}

/// A machine that cannot name its boots leaves zeros, which tell nothing.
bool is_same_boot(const SessionMark& a, const SessionMark& b) { return a == b && a != SessionMark{}; }

/// How much of what lies behind `start` counts, found by one pass over the headers before anything is applied.
struct Counted {
  uint64_t records = 0;  ///< that count
  uint64_t intact = 0;   ///< that are there
};

Counted count_records(std::span<const std::byte> ring, JournalPosition at, uint32_t seed, bool unordered,
                      const SessionMark& boot) {
  Counted found;
  uint64_t marked = at.sequence;
  const uint64_t first = at.sequence;
  while (auto record = record_at(ring, at, seed)) {
    ++found.intact;
    if (record->header.kind == RecordKind::kMarker) std::memcpy(&marked, record->payload.data(), sizeof marked);
    JournalPosition next = behind(*record, at, ring.size());
    // A boot's first session was begun where an open cut the journal, over the marker itself perhaps: so all that lies
    // before it is durable.
    if (record->header.kind == RecordKind::kSession && !is_same_boot(next.session, at.session)) marked = at.sequence;
    at = next;
    if (found.intact > ring.size() / kRecordAlign) break;  // a chain cannot be longer than the ring
  }
  // Every session behind the last marker ran in the boot of the last session: that one decides.
  bool same_boot = is_same_boot(at.session, boot);
  found.records = !unordered || same_boot ? found.intact : std::min(found.intact, std::max(marked, first) - first);
  return found;
}

}  // namespace

Result<ReplayEnd> replay(const Device& device, const JournalRegion& region, const JournalPosition& start,
                         const SessionMark& boot,
                         const std::function<Result<void>(std::span<const std::byte>)>& apply) {
  auto ring = ring_of(device, region);
  bool unordered = device.traits().persistence == Persistence::kSync;
  auto [records, intact] = count_records(ring, start, region.volume_seed, unordered, boot);
  ReplayEnd end{.position = start, .operations = 0, .discarded = intact - records};
  for (uint64_t i = 0; i < records; ++i) {
    auto record = record_at(ring, end.position, region.volume_seed);
    CHECK(record.has_value());
    if (record->header.kind == RecordKind::kOperation) {
      DMAP_TRY(apply(record->payload));
      ++end.operations;
    }
    end.position = behind(*record, end.position, ring.size());
  }
  return end;
}

Journal::Journal(Device& device, const JournalRegion& region, const JournalPosition& start, const JournalPosition& head)
    : device_(device),
      region_(region),
      head_(head),
      start_offset_(start.offset),
      used_(distance(start.offset, head.offset, region.size.value)) {
  CHECK(region.size.value % kRecordAlign == 0 && head.offset < region.size.value);
  if (used_ == 0 && head.sequence != start.sequence) used_ = region.size.value;
}

void Journal::begin_session(const SessionMark& boot, uint64_t epoch) {
  head_.epoch = std::max(head_.epoch + 1, epoch);
  write(RecordKind::kSession, std::as_bytes(std::span(&boot, 1)));
}

void Journal::append(std::span<const std::byte> payload) {
  CHECK(has_room(payload.size()));
  write(RecordKind::kOperation, payload);
}

void Journal::append_marker(uint64_t sequence) { write(RecordKind::kMarker, std::as_bytes(std::span(&sequence, 1))); }

bool Journal::has_room(uint64_t payload) const {
  if (payload > kRecordPayloadMax) return false;
  uint64_t size = record_size(payload);
  uint64_t to_end = region_.size.value - head_.offset;
  uint64_t skipped = size > to_end ? to_end : 0;
  return used_ + skipped + size + kSlack <= region_.size.value;
}

void Journal::release(const JournalPosition& position) {
  uint64_t freed = distance(start_offset_, position.offset, region_.size.value);
  CHECK(freed <= used_);
  // A checkpoint that finds the ring exactly full of released records frees all of it.
  if (freed == 0 && position.sequence == head_.sequence) freed = used_;
  start_offset_ = position.offset;
  used_ -= freed;
}

void Journal::write(RecordKind kind, std::span<const std::byte> payload) {
  uint64_t size = record_size(payload.size());
  uint64_t to_end = region_.size.value - head_.offset;
  if (size > to_end) {
    CHECK(kind != RecordKind::kWrap);
    write(RecordKind::kWrap, {});
  }
  RecordHeader header{.checksum = 0,
                      .length = static_cast<uint32_t>(payload.size()),
                      .sequence = head_.sequence,
                      .epoch = head_.epoch,
                      .chain = head_.chain,
                      .kind = kind,
                      .zero = 0};
  header.checksum = checksum_of(header, payload, region_.volume_seed);
  Record record{.header = header, .payload = payload};
  JournalPosition next = behind(record, head_, region_.size.value);
  uint64_t taken = next.offset == 0 ? to_end : size;
  CHECK(used_ + taken <= region_.size.value);

  Bytes at = region_.at + Bytes{head_.offset};
  // One contiguous store of whole lines: short records are gathered first, so that each line is written once.
  std::array<std::byte, 1024> lines;
  if (size <= lines.size()) {
    std::memcpy(lines.data(), &header, sizeof header);
    if (!payload.empty()) std::memcpy(lines.data() + sizeof header, payload.data(), payload.size());
    std::memset(lines.data() + sizeof header + payload.size(), 0, size - sizeof header - payload.size());
    device_.store_streaming(at, std::span(lines).first(size));
  } else {
    device_.store_streaming(at, std::as_bytes(std::span(&header, 1)));
    device_.store_streaming(at + Bytes{sizeof header}, payload);
  }
  device_.fence();
  used_ += taken;
  head_ = next;
}

}  // namespace dmap
