// SPDX-License-Identifier: Apache-2.0
//
// Holds docs/format.md to the code: each table of a layout names all bytes of what the code writes and says where each
// field is; the examples are what the code makes, and its own decoders take them.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <iomanip>
#include <map>
#include <memory>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "extent/group_codec.h"
#include "journal/record.h"
#include "tree/node.h"
#include "tree/node_check.h"
#include "tree/zone_map.h"
#include "volume/format.h"
#include "volume/records.h"
#include "volume/transaction.h"

namespace dmap {
namespace {

using Blob = std::vector<std::byte>;

const std::string& document() {
  static const std::string text = [] {
    std::ifstream file(DMAP_FORMAT_DOCUMENT);
    std::stringstream all;
    all << file.rdbuf();
    return all.str();
  }();
  return text;
}

/// What lies behind the mark `<!-- kind: name -->`, up to the next mark.
std::string section(const std::string& kind, const std::string& name) {
  std::string mark = "<!-- " + kind + ": " + name + " -->\n";
  size_t at = document().find(mark);
  EXPECT_NE(at, std::string::npos) << "docs/format.md has no " << mark;
  if (at == std::string::npos) return {};
  at += mark.size();
  return document().substr(at, document().find("<!--", at) - at);
}

template <typename T>
Blob blob_of(const T& object) {
  auto bytes = std::as_bytes(std::span(&object, 1));
  return {bytes.begin(), bytes.end()};
}

/// What the code says a structure's fields are: their bytes as stored.
using Fields = std::map<std::string, Blob>;

/// Compares the table with `bytes`, which the code made with these fields. Fields that are not given are not compared;
/// the table must tile [0, size) all the same.
void expect_layout(const std::string& name, std::span<const std::byte> bytes, size_t size, Fields fields) {
  SCOPED_TRACE("the table of the " + name);
  std::istringstream lines(section("layout", name));
  const std::regex row(R"(\| (\d+) \| (\d+) \| (\w+) \|.*)");
  std::smatch match;
  size_t end = 0;
  for (std::string line; std::getline(lines, line) && line.starts_with('|');) {
    if (!std::regex_match(line, match, row)) continue;
    const size_t at = std::stoul(match[1]);
    const size_t length = std::stoul(match[2]);
    EXPECT_EQ(at, end) << line;
    end = at + length;
    ASSERT_LE(end, bytes.size()) << line;
    auto field = fields.find(match[3]);
    if (field == fields.end()) continue;
    EXPECT_EQ(field->second,
              Blob(bytes.begin() + static_cast<ptrdiff_t>(at), bytes.begin() + static_cast<ptrdiff_t>(end)))
        << line;
    fields.erase(field);
  }
  EXPECT_EQ(end, size);
  for (const auto& [field, unused] : fields) ADD_FAILURE() << "the table has no field " << field;
}

Blob text(const char* characters, size_t size) {
  Blob bytes(size);
  std::memcpy(bytes.data(), characters, size);
  return bytes;
}

/// A number that no other field has.
constexpr uint64_t mark(uint64_t number) { return 0x1011121314150000 + number; }
constexpr uint32_t mark32(uint32_t number) { return 0x21220000 + number; }

Uuid example_uuid() {
  return {0x8f, 0x1d, 0xe0, 0xa4, 0x2b, 0x7c, 0x4c, 0x5f, 0x93, 0xaa, 0x05, 0xd1, 0xe6, 0x02, 0x7b, 0x48};
}
constexpr uint64_t kExampleHashSeed = 7;
uint64_t example_tag() { return Superblock{.uuid = example_uuid(), .frames = {}, .journal_frames = {}}.tag(); }
uint32_t example_seed() { return static_cast<uint32_t>(example_tag() ^ example_tag() >> 32); }

uint32_t word_at(std::span<const std::byte> bytes, size_t at) {
  uint32_t word;
  std::memcpy(&word, bytes.data() + at, sizeof word);
  return word;
}

TEST(FormatDocument, TheSuperblockIsAsItSays) {
  Superblock superblock{.uuid = example_uuid(),
                        .frames = FrameCount{mark(1)},
                        .journal_frames = FrameCount{mark(2)},
                        .hash_seed = mark(3),
                        .created_ns = static_cast<int64_t>(mark(4)),
                        .features_compatible = mark(5),
                        .features_read_only = mark(6),
                        .features_incompatible = mark(7)};
  FrameBytes frame = encode(superblock);
  expect_layout("superblock", frame, 96,
                {{"magic", text("DMAPVOL\0", 8)},
                 {"version", blob_of(uint32_t{1})},
                 {"features_compatible", blob_of(mark(5))},
                 {"features_read_only", blob_of(mark(6))},
                 {"features_incompatible", blob_of(mark(7))},
                 {"uuid", blob_of(example_uuid())},
                 {"frames", blob_of(mark(1))},
                 {"journal_first", blob_of(uint64_t{8})},
                 {"journal_frames", blob_of(mark(2))},
                 {"hash_seed", blob_of(mark(3))},
                 {"created_ns", blob_of(mark(4))}});
}

TEST(FormatDocument, TheRootSlotIsAsItSays) {
  SessionMark session{};
  session.boot[3] = std::byte{77};
  RootSlot slot{
      .generation = mark(1),
      .tree = {.pfn = Pfn{mark(2)}, .node_generation = mark(3), .generation = mark(1), .entries = mark(4), .height = 9},
      .maps_digest = mark(5),
      .journal = {.offset = mark(6), .sequence = mark(7), .chain = mark32(8), .epoch = mark(9), .session = session},
      .inode_next = mark(10),
      .inodes = mark(11),
      .owned_frames = mark(12),
      .zones = {{Pfn{13}, FrameCount{mark(14)}}}};
  FrameBytes frame = encode(slot, mark(15));
  Blob zones(16 * kZonesMax);
  Blob zone = blob_of(std::array<uint64_t, 2>{13, mark(14)});
  std::memcpy(zones.data(), zone.data(), zone.size());
  expect_layout("root slot", frame, 136 + 16 * kZonesMax,
                {{"magic", text("DMAPROOT", 8)},
                 {"zones", blob_of(uint32_t{1})},
                 {"tag", blob_of(mark(15))},
                 {"generation", blob_of(mark(1))},
                 {"tree_pfn", blob_of(mark(2))},
                 {"tree_generation", blob_of(mark(3))},
                 {"tree_entries", blob_of(mark(4))},
                 {"maps_digest", blob_of(mark(5))},
                 {"tree_height", blob_of(uint32_t{9})},
                 {"journal_chain", blob_of(mark32(8))},
                 {"journal_offset", blob_of(mark(6))},
                 {"journal_sequence", blob_of(mark(7))},
                 {"journal_epoch", blob_of(mark(9))},
                 {"inode_next", blob_of(mark(10))},
                 {"inodes", blob_of(mark(11))},
                 {"owned_frames", blob_of(mark(12))},
                 {"journal_session", blob_of(session)},
                 {"zone", zones}});
  expect_layout("zone", zone, 16, {{"first", blob_of(uint64_t{13})}, {"frames", blob_of(mark(14))}});
}

TEST(FormatDocument, AJournalRecordIsAsItSays) {
  RecordHeader header{.checksum = mark32(1),
                      .length = mark32(2),
                      .sequence = mark(3),
                      .epoch = mark(4),
                      .chain = mark32(5),
                      .kind = RecordKind::kMarker,
                      .zero = 0};
  expect_layout("record", blob_of(header), sizeof header,
                {{"checksum", blob_of(mark32(1))},
                 {"length", blob_of(mark32(2))},
                 {"sequence", blob_of(mark(3))},
                 {"epoch", blob_of(mark(4))},
                 {"chain", blob_of(mark32(5))},
                 {"kind", blob_of(uint16_t{3})},
                 {"zero", blob_of(uint16_t{0})}});
  Counters counters{.inode_next = mark(6), .inodes = mark(7)};
  expect_layout("counters", Transaction().seal(counters), 16,
                {{"inode_next", blob_of(mark(6))}, {"inodes", blob_of(mark(7))}});
  EXPECT_NE(document().find("at most " + std::to_string(kRecordPayloadMax)), std::string::npos);
}

TEST(FormatDocument, AZoneMapIsAsItSays) {
  ZoneMap map{.zone = {Pfn{1234}, FrameCount{100}}, .generation = mark(1), .used = {}};
  map.used[0] = 0x8000000000000003;
  map.used[1] = 1;
  FrameBytes frame;
  encode_zone_map(map, mark(2), frame);
  expect_layout("zone map", frame, frame.size(),
                {{"magic", text("DMZM", 4)},
                 {"tag", blob_of(mark(2))},
                 {"first", blob_of(uint64_t{1234})},
                 {"count", blob_of(uint64_t{100})},
                 {"generation", blob_of(mark(1))},
                 {"zeros", Blob(24)},
                 {"used", blob_of(map.used)}});
}

TEST(FormatDocument, ANodesHeaderIsAsItSays) {
  NodeHeader header{.crc = mark32(1),
                    .magic = kLeafMagic,
                    .volume = mark(2),
                    .pfn = Pfn{mark(3)},
                    .generation = mark(4),
                    .count = 5,
                    .level = 6,
                    .heap = 7,
                    .garbage = 8,
                    .zeros = {}};
  expect_layout("node", blob_of(header), sizeof header,
                {{"checksum", blob_of(mark32(1))},
                 {"magic", text("DMLF", 4)},
                 {"tag", blob_of(mark(2))},
                 {"pfn", blob_of(mark(3))},
                 {"generation", blob_of(mark(4))},
                 {"count", blob_of(uint16_t{5})},
                 {"level", blob_of(uint16_t{6})},
                 {"heap", blob_of(uint16_t{7})},
                 {"garbage", blob_of(uint16_t{8})},
                 {"zeros", Blob(24)}});
  EXPECT_EQ(blob_of(kInnerMagic), text("DMIN", 4));
}

TEST(FormatDocument, AnInodeIsAsItSays) {
  InodeRecord inode{.type = FileType::kFifo,
                    .permissions = 04711,
                    .uid = mark32(1),
                    .gid = mark32(2),
                    .links = mark32(3),
                    .has_xattrs = true,
                    .is_inline = true,
                    .size = mark(4),
                    .frames = mark(5),
                    .extents = mark(6),
                    .accessed = {static_cast<int64_t>(mark(7))},
                    .modified = {static_cast<int64_t>(mark(8))},
                    .changed = {static_cast<int64_t>(mark(9))},
                    .born = {static_cast<int64_t>(mark(10))},
                    .device = mark(11),
                    .parent = InodeNumber{mark(12)},
                    .dead_from = mark(13)};
  expect_layout("inode", encode(inode), kInodeSize,
                {{"type", blob_of(uint8_t{5})},
                 {"flags", blob_of(uint8_t{3})},
                 {"permissions", blob_of(uint16_t{04711})},
                 {"uid", blob_of(mark32(1))},
                 {"gid", blob_of(mark32(2))},
                 {"links", blob_of(mark32(3))},
                 {"size", blob_of(mark(4))},
                 {"frames", blob_of(mark(5))},
                 {"extents", blob_of(mark(6))},
                 {"accessed", blob_of(mark(7))},
                 {"modified", blob_of(mark(8))},
                 {"changed", blob_of(mark(9))},
                 {"born", blob_of(mark(10))},
                 {"device", blob_of(mark(11))},
                 {"parent", blob_of(mark(12))},
                 {"dead_from", blob_of(mark(13))}});
  EXPECT_EQ(kNothingDead, uint64_t{1} << 52);
}

TEST(FormatDocument, SmallValuesAreAsItSays) {
  ExtentBytes unwritten =
      encode(Mapping{.file_frame = 1, .pfn = Pfn{mark(2)}, .frames = 3, .birth = 0, .written = false});
  expect_layout("extent", unwritten, kExtentSize,
                {{"pfn", blob_of(mark(2))}, {"frames", blob_of(uint64_t{3} | uint64_t{1} << 63)}});
  const Dentry dentry{.inode = InodeNumber{mark(4)}, .type = FileType::kSymlink, .slot = 5, .name = "name"};
  Blob entry = encode(std::span(&dentry, 1));
  EXPECT_EQ(entry.size(), 11 + dentry.name.size());
  expect_layout("dentry", entry, 11,
                {{"inode", blob_of(mark(4))},
                 {"type", blob_of(uint8_t{2})},
                 {"slot", blob_of(uint8_t{5})},
                 {"name_size", blob_of(uint8_t{4})}});
  expect_layout("xattr head", blob_of(XattrHead{.value_size = mark32(6), .name_size = mark32(7)}), sizeof(XattrHead),
                {{"value_size", blob_of(mark32(6))}, {"name_size", blob_of(mark32(7))}});
}

/// As the document prints bytes: an offset and sixteen of them a line, lines of zeros left out.
std::string dump(std::span<const std::byte> bytes) {
  std::ostringstream out;
  out << std::hex << std::setfill('0');
  for (size_t at = 0; at < bytes.size(); at += 16) {
    auto line = bytes.subspan(at, std::min<size_t>(16, bytes.size() - at));
    if (std::ranges::all_of(line, [](std::byte byte) { return byte == std::byte{0}; })) continue;
    out << std::setw(4) << at << ' ';
    for (std::byte byte : line) out << ' ' << std::setw(2) << std::to_integer<int>(byte);
    out << '\n';
  }
  return out.str();
}

Blob parsed(const std::string& name, size_t size) {
  Blob bytes(size);
  std::istringstream lines(section("example", name));
  const std::regex row(R"(([0-9a-f]{4}) (( [0-9a-f]{2}){1,16}))");
  std::smatch match;
  for (std::string line; std::getline(lines, line);) {
    if (!std::regex_match(line, match, row)) continue;
    size_t at = std::stoul(match[1], nullptr, 16);
    std::istringstream words(match[2]);
    for (std::string word; words >> word && at < size; ++at)
      bytes[at] = static_cast<std::byte>(std::stoul(word, nullptr, 16));
  }
  return bytes;
}

std::string hexadecimal(uint64_t number) {
  std::ostringstream out;
  out << "`0x" << std::hex << number << '`';
  return out.str();
}

InodeRecord example_inode(FileType type, uint64_t time) {
  Time at{static_cast<int64_t>(time)};
  return {.type = type,
          .permissions = type == FileType::kDirectory ? 0755U : 0644U,
          .uid = 0,
          .gid = 0,
          .links = type == FileType::kDirectory ? 2U : 1U,
          .has_xattrs = false,
          .is_inline = type == FileType::kRegular,
          .size = type == FileType::kRegular ? uint64_t{6} : uint64_t{0},
          .frames = 0,
          .extents = 0,
          .accessed = at,
          .modified = at,
          .changed = at,
          .born = at,
          .device = 0,
          .parent = type == FileType::kDirectory ? kRootInode : InodeNumber{},
          .dead_from = kNothingDead};
}

constexpr InodeNumber kFile{2};
constexpr Child kExampleNode{.pfn = Pfn{266}, .generation = 2};

/// The node of the example, as the code makes it.
std::unique_ptr<Node> example_node() {
  auto node = std::make_unique<Node>();
  init_node(*node, example_tag(), kExampleNode, 0);
  InodeBytes root = encode(example_inode(FileType::kDirectory, 1000000000));
  const Dentry a{.inode = kFile, .type = FileType::kRegular, .slot = 0, .name = "a"};
  Blob entry = encode(std::span(&a, 1));
  InodeBytes file = encode(example_inode(FileType::kRegular, 2000000000));
  Blob contents = text("hello\n", 6);
  leaf_insert(*node, 0, {.key = key_of(kRootInode, Kind::kInode), .value = root});
  leaf_insert(*node, 1, {.key = key_of(kRootInode, Kind::kDentry, hash_of("a", kExampleHashSeed)), .value = entry});
  leaf_insert(*node, 2, {.key = key_of(kFile, Kind::kInode), .value = file});
  leaf_insert(*node, 3, {.key = key_of(kFile, Kind::kInline), .value = contents});
  node->header.crc = node_crc(*node);
  return node;
}

TEST(FormatDocument, TheExampleOfANodeIsWhatTheCodeMakesAndTakes) {
  auto made = example_node();
  Blob made_bytes(made->bytes(), made->bytes() + kNodeSize);
  Blob bytes = parsed("node", kNodeSize);
  EXPECT_TRUE(bytes == made_bytes) << "it should be\n" << dump(made_bytes);
  for (const std::string& said :
       {to_string(example_uuid()), hexadecimal(example_tag()), hexadecimal(example_seed()),
        hexadecimal(hash_of("a", 7)), "begins at byte " + std::to_string(made->header.heap)}) {
    EXPECT_NE(document().find(said), std::string::npos) << said;
  }

  Node node;
  std::memcpy(static_cast<void*>(&node), bytes.data(), bytes.size());
  const char* fault =
      stored_node_fault(node, {.volume = example_tag(), .child = kExampleNode, .level = 0, .range = {}});
  ASSERT_EQ(fault, nullptr) << fault;
  ASSERT_EQ(node.entries(), 4U);
  auto value = [&](size_t i) { return node.value(node.slots()[i]); };
  EXPECT_EQ(decode_inode(value(0), kRootInode)->type, FileType::kDirectory);
  EXPECT_EQ(offset_of(node.keys()[1]), hash_of("a", kExampleHashSeed));
  auto entries = decode_dentries(value(1));
  ASSERT_TRUE(entries && entries->size() == 1);
  EXPECT_EQ((*entries)[0].name, "a");
  EXPECT_EQ((*entries)[0].inode, kFile);
  EXPECT_EQ(decode_inode(value(2), kFile)->size, 6U);
  EXPECT_EQ(Blob(value(3).begin(), value(3).end()), text("hello\n", 6));
}

constexpr JournalPosition kExamplePosition{.offset = 0, .sequence = 9, .chain = 0xc0ffee00, .epoch = 5, .session = {}};

TEST(FormatDocument, TheExampleOfARecordIsWhatTheCodeMakesAndTakes) {
  Transaction txn;
  txn.put(key_of(kFile, Kind::kInline), text("bye\n", 4));
  txn.erase(key_of(kVolumeObject, Kind::kOrphan, 5));
  txn.claim({Pfn{300}, FrameCount{4}});
  txn.release({Pfn{290}, FrameCount{1}});
  auto payload = txn.seal({.inode_next = 6, .inodes = 2});
  RecordHeader header{.checksum = 0,
                      .length = static_cast<uint32_t>(payload.size()),
                      .sequence = kExamplePosition.sequence,
                      .epoch = kExamplePosition.epoch,
                      .chain = kExamplePosition.chain,
                      .kind = RecordKind::kOperation,
                      .zero = 0};
  header.checksum = checksum_of(header, payload, example_seed());
  Blob made = blob_of(header);
  made.insert(made.end(), payload.begin(), payload.end());
  EXPECT_NE(
      document().find("The last " + std::to_string(record_size(payload.size()) - made.size()) + " bytes are padding"),
      std::string::npos);
  made.resize(record_size(payload.size()));
  Blob bytes = parsed("record", made.size());
  EXPECT_TRUE(bytes == made) << "it should be\n" << dump(made);

  auto record = record_at(bytes, kExamplePosition, example_seed());
  ASSERT_TRUE(record);
  auto reader = TransactionReader::open(record->payload);
  ASSERT_TRUE(reader);
  EXPECT_EQ(reader->counters().inode_next, 6U);
  auto put = reader->next();
  ASSERT_TRUE(put && std::holds_alternative<PutKey>(*put));
  EXPECT_EQ(std::get<PutKey>(*put).key, key_of(kFile, Kind::kInline));
  auto erase = reader->next();
  ASSERT_TRUE(erase && std::holds_alternative<EraseKey>(*erase));
  auto claim = reader->next();
  ASSERT_TRUE(claim && std::holds_alternative<ClaimFrames>(*claim));
  EXPECT_EQ(std::get<ClaimFrames>(*claim).extent, (Extent{Pfn{300}, FrameCount{4}}));
  auto release = reader->next();
  ASSERT_TRUE(release && std::holds_alternative<ReleaseFrames>(*release));
  EXPECT_TRUE(reader->at_end());
  EXPECT_EQ(word_at(bytes, 0), header.checksum);
}

}  // namespace
}  // namespace dmap
