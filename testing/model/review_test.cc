// SPDX-License-Identifier: Apache-2.0
//
// Defects that were found by reading, each as the calls that showed it.
#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <thread>

#include "dmap/check.h"
#include "dmap/volume.h"
#include "testing/support/open.h"
#include "testing/support/random.h"
#include "testing/support/stamp.h"
#include "testing/support/temporary.h"

namespace dmap::testing {
namespace {

class Reviewed : public ::testing::Test {
 protected:
  void open(Bytes size = 128_MiB) {
    auto made = Volume::format(file_.path(), {.size = size, .journal = 1_MiB, .overwrite = Overwrite::kYes});
    ASSERT_TRUE(made) << made.error().message();
    reopen();
  }
  void reopen(Access access = Access::kReadWrite) {
    if (volume_) {
      ASSERT_TRUE(volume_->close());
    }
    auto volume = Volume::open(file_.path(), {.access = access});
    ASSERT_TRUE(volume) << volume.error().message();
    volume_.emplace(std::move(*volume));
  }
  void expect_clean() {
    ASSERT_TRUE(volume_->close());
    volume_.reset();
    std::string findings;
    auto report =
        check_volume(file_.path(), {.on_finding = [&](const Finding& f) { findings += f.path + f.what + "\n"; }});
    ASSERT_TRUE(report) << report.error().message();
    EXPECT_EQ(report->findings, 0U) << findings;
  }
  File make(const std::string& path, const std::string& text) {
    auto file = volume_->open_file(path, writable(Create::kIfMissing));
    EXPECT_TRUE(file) << file.error().message();
    EXPECT_TRUE(file->write_at(bytes_of(text), 0));
    return std::move(*file);
  }

  TemporaryPath file_{kMemoryFolder};
  std::optional<Volume> volume_;
};

TEST_F(Reviewed, AnUnalignedWriteOfSeveralRecordsClaimsEachFrameOnce) {
  open();
  std::string text(40 << 20, 'x');
  for (size_t i = 0; i < text.size(); i += 997) text[i] = static_cast<char>(i);
  {
    auto file = volume_->open_file("/f", writable(Create::kExclusive));
    ASSERT_TRUE(file);
    ASSERT_TRUE(file->write_at(bytes_of(text), 100));
    std::string back(text.size(), '?');
    ASSERT_TRUE(file->read_at(std::as_writable_bytes(std::span(back)), 100));
    EXPECT_TRUE(back == text);
  }
  expect_clean();
}

TEST_F(Reviewed, AViewOfAFileThatTurnsTinyIsCutToWhatIsThere) {
  open();
  auto file = make("/f", std::string(60000, 'a'));
  std::atomic<bool> stop = false;
  std::thread changer([&] {
    std::string large(60000, 'a');
    std::string small(100, 'b');
    while (!stop) {
      EXPECT_TRUE(file.truncate(0_B) && file.write_at(bytes_of(small), 0));
      EXPECT_TRUE(file.truncate(0_B) && file.write_at(bytes_of(large), 0));
    }
  });
  for (int i = 0; i < 20000; ++i) {
    auto view = file.view(0, Bytes{60000});
    ASSERT_TRUE(view);
    uint64_t sum = 0;
    for (auto piece : view->pieces()) sum += piece.size();
    ASSERT_EQ(Bytes{sum}, view->size());
  }
  stop = true;
  changer.join();
}

TEST_F(Reviewed, AnInodeThatIsBeingMadeCanBeAskedForByItsNumber) {
  open();
  std::atomic<uint64_t> newest = 2;
  std::atomic<bool> stop = false;
  std::thread guesser([&] {
    while (!stop) {
      for (uint64_t ahead = 0; ahead < 3; ++ahead) (void)volume_->stat(InodeNumber{newest.load() + ahead});
    }
  });
  for (int i = 0; i < 20000; ++i) {
    auto file = volume_->open_file("/f" + std::to_string(i), writable(Create::kExclusive));
    ASSERT_TRUE(file) << file.error().message();
    newest = static_cast<uint64_t>(file->inode()) + 1;
  }
  stop = true;
  guesser.join();
  expect_clean();
}

TEST_F(Reviewed, ANamelessFileWhoseTailWasDrainedIsNotForgotten) {
  open();
  {
    auto file = make("/f", "");
    for (uint64_t piece = 0; piece < 600; ++piece)
      ASSERT_TRUE(file.write_at(bytes_of(std::string(4096, 'x')), piece * 8192));
    ASSERT_TRUE(volume_->unlink("/f"));
    ASSERT_TRUE(file.truncate(0_B));
    ASSERT_TRUE(file.write_at(bytes_of(std::string(5000, 'y')), 0));
    ASSERT_TRUE(volume_->checkpoint());
  }
  expect_clean();
  auto volume = Volume::open(file_.path());
  ASSERT_TRUE(volume);
  EXPECT_EQ(volume->usage().inodes, 1U);
  EXPECT_EQ(volume->usage().owned, 0_B);
}

TEST_F(Reviewed, APinOfATinyFileOnAReadOnlyVolumeIsRefused) {
  open();
  {
    auto file = make("/tiny", "few bytes");
  }
  reopen(Access::kReadOnly);
  auto file = volume_->open_file("/tiny");
  ASSERT_TRUE(file);
  auto pin = file->pin(0, 9_B);
  ASSERT_FALSE(pin);
  EXPECT_EQ(pin.error().code(), Code::kReadOnly);
}

TEST_F(Reviewed, ANameThatIsReplacedIsNeverMissing) {
  open();
  {
    auto file = make("/x", "first");
  }
  std::atomic<bool> stop = false;
  std::thread replacer([&] {
    while (!stop) {
      {
        auto next = make("/t", "next");
      }
      EXPECT_TRUE(volume_->rename("/t", "/x"));
    }
  });
  for (int i = 0; i < 100'000; ++i) {
    auto stat = volume_->stat("/x");
    ASSERT_TRUE(stat) << stat.error().message();
  }
  stop = true;
  replacer.join();
  expect_clean();
}

TEST_F(Reviewed, AViewOfAnEnormousHoleIsRefusedAndNotBuilt) {
  open();
  auto file = make("/hole", "");
  ASSERT_TRUE(file.truncate(Bytes{uint64_t{1} << 60}));
  auto view = file.view(0, file.size());
  ASSERT_FALSE(view);
  EXPECT_EQ(view.error().code(), Code::kTooManyViews);
}

TEST_F(Reviewed, ATinyFileShrinksOnAFullVolume) {
  open(4_MiB);
  auto tiny = make("/tiny", std::string(400, 't'));
  std::string name = "/fill";
  while (volume_->open_file(name, writable(Create::kExclusive))) name += "l";
  for (int i = 0; i < 100'000; ++i) {
    if (!volume_->make_symlink(std::string(1000, 's'), "/s" + std::to_string(i))) break;
  }
  EXPECT_TRUE(tiny.truncate(100_B));
  EXPECT_TRUE(tiny.punch(0, 50_B));
  EXPECT_EQ(tiny.size(), 100_B);
}

}  // namespace
}  // namespace dmap::testing
