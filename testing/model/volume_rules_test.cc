// SPDX-License-Identifier: Apache-2.0
//
// Rules of the volume that a random walk does not say aloud: what a view and a pin show, what a full volume allows, who
// may open it.
#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <optional>
#include <thread>

#include "dmap/volume.h"
#include "testing/support/open.h"
#include "testing/support/random.h"
#include "testing/support/stamp.h"
#include "testing/support/temporary.h"

namespace dmap::testing {
namespace {

std::string text_of(const View& view) {
  std::string text;
  for (auto piece : view.pieces()) text.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  return text;
}

std::string text_of(const Pin& pin) {
  std::string text;
  for (const Piece& piece : pin.pieces()) text.append(reinterpret_cast<char*>(piece.address), piece.length.value);
  return text;
}

std::string read_text(const File& file) {
  std::string text(file.size().value, '?');
  auto got = file.read_at(std::as_writable_bytes(std::span(text)), 0);
  EXPECT_TRUE(got) << got.error().message();
  return text;
}

class VolumeRules : public ::testing::Test {
 protected:
  void SetUp() override {
    auto volume = Volume::in_memory(32_MiB);
    ASSERT_TRUE(volume) << volume.error().message();
    volume_.emplace(std::move(*volume));
  }

  File make(const std::string& path, const std::string& text) {
    auto file = volume_->open_file(path, writable(Create::kExclusive));
    EXPECT_TRUE(file) << file.error().message();
    EXPECT_TRUE(file->write_at(bytes_of(text), 0));
    return std::move(*file);
  }

  std::optional<Volume> volume_;
};

TEST_F(VolumeRules, AFileInManyPiecesAndWithManyAttributesGoesWhole) {
  for (bool open_meanwhile : {false, true}) {
    Usage before = volume_->usage();
    std::optional<File> file = make("/f", "");
    std::string frame(4096, 'x');
    for (uint64_t piece = 0; piece < 700; ++piece) ASSERT_TRUE(file->write_at(bytes_of(frame), piece * 8192));
    for (int i = 0; i < 300; ++i) {
      ASSERT_TRUE(volume_->set_xattr("/f", "user.a" + std::to_string(i), bytes_of(std::string(3000, 'v'))));
    }
    ASSERT_EQ(file->stat()->extents, 700U);
    if (!open_meanwhile) file.reset();
    ASSERT_TRUE(volume_->unlink("/f"));
    if (open_meanwhile) {
      ASSERT_EQ(read_text(*file).substr(699 * 8192), frame);
    }
    file.reset();
    // Bigger than one record: it goes in the background.
    for (int wait = 0; wait < 500 && volume_->usage().inodes != before.inodes; ++wait) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    EXPECT_EQ(volume_->usage().inodes, before.inodes);
    EXPECT_EQ(volume_->usage().owned, before.owned);
  }
}

TEST_F(VolumeRules, AWriteShowsThroughAViewOfItsRange) {
  File file = make("/f", std::string(8192, 'a'));
  auto view = file.view(0, 8_KiB);
  ASSERT_TRUE(view);
  ASSERT_TRUE(file.write_at(bytes_of(std::string(100, 'b')), 4000));
  EXPECT_EQ(text_of(*view), read_text(file));
}

TEST_F(VolumeRules, AViewKeepsItsBytesWhileTheFileIsCutAndWrittenAnew) {
  File file = make("/f", std::string(8192, 'a'));
  auto view = file.view(0, 8_KiB);
  ASSERT_TRUE(view);
  ASSERT_TRUE(file.truncate(0_B));
  ASSERT_TRUE(file.write_at(bytes_of(std::string(8192, 'b')), 0));
  EXPECT_EQ(text_of(*view), std::string(8192, 'a'));
  EXPECT_EQ(read_text(file), std::string(8192, 'b'));
}

TEST_F(VolumeRules, ADeviceThatWritesThroughAPinWritesTheFile) {
  File file = make("/f", std::string(8192, 'a'));
  auto pin = file.pin(0, 8_KiB, Access::kReadWrite);
  ASSERT_TRUE(pin) << pin.error().message();
  std::memset(pin->pieces()[0].address, 'x', 1);
  EXPECT_EQ(read_text(file), "x" + std::string(8191, 'a'));
}

TEST_F(VolumeRules, ADeviceThatWritesThroughAPinIntoAllocatedRoomWritesTheFile) {
  File file = make("/f", "");
  ASSERT_TRUE(file.allocate(0, 8_KiB));
  auto pin = file.pin(0, 8_KiB, Access::kReadWrite);
  ASSERT_TRUE(pin) << pin.error().message();
  EXPECT_EQ(text_of(*pin), std::string(8192, '\0'));
  std::memset(pin->pieces()[0].address, 'x', 1);
  EXPECT_EQ(read_text(file), "x" + std::string(8191, '\0'));
}

TEST_F(VolumeRules, ADeviceThatWritesThroughAPinOfACutFileWritesNoOtherFile) {
  File file = make("/f", std::string(1 << 20, 'a'));
  auto pin = file.pin(0, 1_MiB, Access::kReadWrite);
  ASSERT_TRUE(pin) << pin.error().message();
  ASSERT_TRUE(file.truncate(0_B));
  File other = make("/other", "");
  std::string part(1 << 20, 'b');
  while (other.append(bytes_of(part))) continue;  // all there is
  for (const Piece& piece : pin->pieces()) std::memset(piece.address, 'x', piece.length.value);
  EXPECT_EQ(read_text(other).find_first_not_of('b'), std::string::npos);
  EXPECT_GE(volume_->usage().quarantined, 1_MiB);
}

TEST_F(VolumeRules, WhatAPinHeldIsFreeOnceItIsGone) {
  Bytes before = volume_->usage().owned + volume_->usage().quarantined;
  {
    File file = make("/f", std::string(1 << 20, 'a'));
    auto pin = file.pin(0, 1_MiB);
    ASSERT_TRUE(pin) << pin.error().message();
    ASSERT_TRUE(volume_->unlink("/f"));
  }
  // All of the volume can be taken again: what waits for a grace period only comes back by itself.
  uint64_t room = volume_->usage().total.value - volume_->usage().metadata.value - before.value - (2 << 20);
  File file = make("/all", "");
  std::string part(64 << 10, 'b');
  uint64_t taken = 0;
  while (taken < room && file.append(bytes_of(part))) taken += part.size();
  EXPECT_GE(taken, room);
}

TEST_F(VolumeRules, APinOfAHoleIsRefused) {
  File file = make("/f", "");
  ASSERT_TRUE(file.truncate(1_MiB));
  auto pin = file.pin(0, 8_KiB);
  ASSERT_FALSE(pin);
  EXPECT_EQ(pin.error().code(), Code::kInvalid);
}

TEST_F(VolumeRules, EverythingCanBeRemovedFromAFullVolume) {
  Random random(1);
  uint64_t made = 0;
  for (;; ++made) {
    auto file = volume_->open_file("/f" + std::to_string(made), writable(Create::kExclusive));
    if (!file || !file->append(bytes_of(random.bytes(random.between(1, 40'000))))) break;
  }
  ASSERT_GT(made, 100U);
  while (auto tiny = volume_->open_file("/tiny" + std::to_string(made++), writable(Create::kExclusive))) continue;
  auto entries = volume_->read_directory("/", kDirectoryStart, 1 << 20);
  ASSERT_TRUE(entries);
  for (const DirectoryEntry& entry : *entries) {
    auto gone = volume_->unlink("/" + entry.name);
    ASSERT_TRUE(gone) << gone.error().message();
  }
  make("/again", random.bytes(1 << 20));
}

TEST_F(VolumeRules, OneProcessMayHaveAVolumeOpenForWriting) {
  TemporaryPath path(kMemoryFolder);
  ASSERT_TRUE(Volume::format(path.path(), {.size = 16_MiB, .journal = 1_MiB, .progress = {}}));
  auto first = Volume::open(path.path());
  ASSERT_TRUE(first) << first.error().message();
  auto second = Volume::open(path.path());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), Code::kBusy);
}

TEST_F(VolumeRules, AVolumeOpenForReadingRefusesChangesAndLeavesTheFileAsItIs) {
  TemporaryPath path(kMemoryFolder);
  ASSERT_TRUE(Volume::format(path.path(), {.size = 16_MiB, .journal = 1_MiB, .progress = {}}));
  auto made = Volume::open(path.path());
  ASSERT_TRUE(made);
  ASSERT_TRUE(made->open_file("/f", writable(Create::kExclusive))->write_at(bytes_of(std::string(5000, 'a')), 0));
  ASSERT_TRUE(made->close());
  auto volume = Volume::open(path.path(), {.access = Access::kReadOnly});
  ASSERT_TRUE(volume) << volume.error().message();
  EXPECT_EQ(read_text(*volume->open_file("/f")), std::string(5000, 'a'));
  EXPECT_EQ(volume->make_directory("/d").error().code(), Code::kReadOnly);
  EXPECT_EQ(volume->unlink("/f").error().code(), Code::kReadOnly);
  EXPECT_EQ(volume->rename("/f", "/g").error().code(), Code::kReadOnly);
  EXPECT_EQ(volume->open_file("/f", writable()).error().code(), Code::kReadOnly);
  EXPECT_EQ(volume->open_file("/new", writable(Create::kExclusive)).error().code(), Code::kReadOnly);
}

}  // namespace
}  // namespace dmap::testing
