// SPDX-License-Identifier: Apache-2.0
#include "device/file_device.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <vector>

namespace dmap {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

/// A directory of the test's own on tmpfs or on the ordinary disk, gone afterwards.
class FileDeviceTest : public ::testing::TestWithParam<const char*> {
 protected:
  FileDeviceTest() : directory_(std::string(GetParam()) + "/dmap_file_device_" + std::to_string(::getpid())) {
    fs::create_directories(directory_);
  }
  ~FileDeviceTest() override { fs::remove_all(directory_); }

  std::string path(const std::string& name = "volume") const { return directory_ + "/" + name; }
  std::unique_ptr<FileDevice> make(Bytes size, CreateOptions options = {}) const {
    auto device = FileDevice::create(path(), size, std::move(options));
    EXPECT_TRUE(device.has_value()) << device.error().message();
    return std::move(*device);
  }
  struct stat status() const {
    struct stat result{};
    EXPECT_EQ(::stat(path().c_str(), &result), 0);
    return result;
  }

  const std::string directory_;
};
INSTANTIATE_TEST_SUITE_P(Everywhere, FileDeviceTest, ::testing::Values("/dev/shm", "/tmp"),
                         [](const auto& info) { return info.index == 0 ? "tmpfs" : "disk"; });

/// What a failed Result says; empty if it did not fail.
template <typename T>
std::string message_of(const Result<T>& result) {
  return result ? "" : result.error().message();
}
template <typename T>
Code code_of(const Result<T>& result) {
  EXPECT_FALSE(result.has_value());
  return result ? Code{} : result.error().code();
}

/// A child process that runs `body`, says so, and waits to be killed.
class Child {
 public:
  template <typename Body>
  explicit Child(Body body) {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe(ends.data()), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      auto held = body();
      char ready = held ? 'y' : 'n';
      if (::write(ends[1], &ready, 1) != 1) ::_exit(1);
      for (;;) ::pause();
    }
    char ready = 0;
    EXPECT_EQ(::read(ends[0], &ready, 1), 1);
    EXPECT_EQ(ready, 'y');
    ::close(ends[0]);
    ::close(ends[1]);
  }
  ~Child() { kill(); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(std::exchange(pid_, -1), nullptr, 0);
  }

 private:
  pid_t pid_ = -1;
};

TEST_P(FileDeviceTest, SaysWhatItLiesOnAndWhatThatPromises) {
  auto device = make(1_MiB);
  const Traits& traits = device->traits();
  EXPECT_EQ(device->name(), path());
  EXPECT_EQ(traits.frames, FrameCount{256});
  EXPECT_EQ(traits.cpu_mapped, traits.frames);
  EXPECT_TRUE(traits.load_in_place);
  if (GetParam() == std::string("/dev/shm")) {
    EXPECT_FALSE(traits.durable);
    EXPECT_EQ(traits.persistence, Persistence::kNone);
    EXPECT_EQ(traits.dma_target, DmaTarget::kLong);
    EXPECT_THAT(traits.medium, HasSubstr("file on tmpfs (memory"));
    EXPECT_THAT(traits.promise, HasSubstr("nothing survives a reboot"));
  } else if (traits.medium.find("tmpfs") == std::string::npos) {  // some machines have /tmp on tmpfs
    EXPECT_TRUE(traits.durable);
    EXPECT_EQ(traits.persistence, Persistence::kSync);
    EXPECT_EQ(traits.dma_target, DmaTarget::kShort);
    EXPECT_THAT(traits.promise, HasSubstr("a power cut keeps what was synced"));
  }
}

TEST_P(FileDeviceTest, IsMappedAtALargePageBoundary) {
  auto device = make(12_KiB);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(device->data()) % (2U << 20), 0U);
}

TEST_P(FileDeviceTest, WhatWasStoredIsThereAfterReopening) {
  const std::vector<std::byte> bytes(5000, std::byte{7});
  {
    auto device = make(1_MiB);
    device->store_streaming(100_B, bytes);
    EXPECT_TRUE(device->barrier().has_value());
  }
  auto again = FileDevice::open(path(), DeviceAccess::kReadOnly);
  ASSERT_TRUE(again.has_value()) << again.error().message();
  EXPECT_TRUE(std::ranges::equal(std::span((*again)->address(100_B), bytes.size()), bytes));
  EXPECT_EQ(*(*again)->address(99_B), std::byte{0});
}

TEST_P(FileDeviceTest, WhatAKilledProcessStoredIsThere) {
  make(1_MiB);
  Child child([&] {
    auto device = FileDevice::open(path(), DeviceAccess::kReadWrite);
    (*device)->store_word(8_B, 42);
    return device;
  });
  child.kill();
  auto device = FileDevice::open(path(), DeviceAccess::kReadWrite);
  ASSERT_TRUE(device.has_value()) << device.error().message();
  EXPECT_EQ(*(*device)->address(8_B), std::byte{42});
}

TEST_P(FileDeviceTest, TakesItsBlocksWhenMade) {
  auto device = make(8_MiB);
  EXPECT_GE(status().st_blocks * 512, 8 << 20);
  EXPECT_EQ(status().st_size, 8 << 20);
  EXPECT_EQ(status().st_mode & 0777U, 0600U);
}

TEST_P(FileDeviceTest, ASparseOneTakesNone) {
  auto device = make(64_MiB, {.allocation = Allocation::kSparse});
  EXPECT_LE(status().st_blocks * 512, 2 << 20);
  EXPECT_EQ(status().st_size, 64 << 20);
}

TEST_P(FileDeviceTest, ProgressIsToldAndCanStopIt) {
  std::vector<uint64_t> steps;
  make(kSpaceStep + 4_KiB, {.progress = [&](uint64_t done, uint64_t total) {
         EXPECT_EQ(Bytes{total}, kSpaceStep + 4_KiB);
         steps.push_back(done);
         return true;
       }});
  EXPECT_THAT(steps, ::testing::ElementsAre(kSpaceStep.value, (kSpaceStep + 4_KiB).value));

  auto stopped =
      FileDevice::create(path("stopped"), kSpaceStep * 2, {.progress = [](uint64_t, uint64_t) { return false; }});
  EXPECT_THAT(message_of(stopped), HasSubstr("canceled; after 64 MiB"));
  EXPECT_FALSE(fs::exists(path("stopped")));
}

TEST_P(FileDeviceTest, AnExistingFileIsReplacedOnlyWhenAsked) {
  make(1_MiB)->store_word(0_B, 1);
  auto refused = FileDevice::create(path(), 2_MiB);
  EXPECT_EQ(code_of(refused), Code::kExists);
  EXPECT_EQ(status().st_size, 1 << 20);
  auto replaced = make(2_MiB, {.overwrite = Overwrite::kYes});
  EXPECT_EQ(replaced->traits().frames, FrameCount{512});
  EXPECT_EQ(*replaced->address(0_B), std::byte{0});
}

TEST_P(FileDeviceTest, AFileInUseIsNotReplacedNorRemoved) {
  auto device = make(1_MiB);
  device->store_word(0_B, 5);
  auto refused = FileDevice::create(path(), 2_MiB, {.overwrite = Overwrite::kYes});
  EXPECT_EQ(code_of(refused), Code::kBusy);
  EXPECT_EQ(status().st_size, 1 << 20);
  EXPECT_EQ(*device->address(0_B), std::byte{5});
}

TEST_P(FileDeviceTest, AWriterExcludesOthersWithinTheProcess) {
  auto writer = make(1_MiB);
  auto second = FileDevice::open(path(), DeviceAccess::kReadWrite);
  EXPECT_EQ(code_of(second), Code::kBusy);
  EXPECT_THAT(message_of(second), HasSubstr("in use by this process (writing)"));
  EXPECT_EQ(code_of(FileDevice::open(path(), DeviceAccess::kReadOnly)), Code::kBusy);
  writer.reset();
  EXPECT_TRUE(FileDevice::open(path(), DeviceAccess::kReadWrite).has_value());
}

TEST_P(FileDeviceTest, ReadersShareAndExcludeAWriter) {
  make(1_MiB);
  auto one = FileDevice::open(path(), DeviceAccess::kReadOnly);
  auto two = FileDevice::open(path(), DeviceAccess::kReadOnly);
  ASSERT_TRUE(one.has_value() && two.has_value());
  auto writer = FileDevice::open(path(), DeviceAccess::kReadWrite);
  EXPECT_EQ(code_of(writer), Code::kBusy);
  EXPECT_THAT(message_of(writer), HasSubstr("this process (reading), this process (reading)"));
}

TEST_P(FileDeviceTest, AnotherProcessIsNamedAndItsDeathFreesTheFile) {
  make(1_MiB);
  Child child([&] { return FileDevice::open(path(), DeviceAccess::kReadWrite); });
  auto refused = FileDevice::open(path(), DeviceAccess::kReadOnly);
  EXPECT_EQ(code_of(refused), Code::kBusy);
  EXPECT_THAT(message_of(refused), HasSubstr("in use by process " + std::to_string(child.pid()) + " (writing)"));
  child.kill();
  EXPECT_TRUE(FileDevice::open(path(), DeviceAccess::kReadWrite).has_value());
}

bool is_mapped(const std::string& path) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.ends_with(path)) return true;
  }
  return false;
}

TEST_P(FileDeviceTest, AForkedChildDoesNotGetTheMapping) {
  auto device = make(1_MiB);
  ASSERT_TRUE(is_mapped(path()));
  pid_t pid = ::fork();
  if (pid == 0) {
    ::_exit(is_mapped(path()) ? 1 : 0);
  }
  int result = -1;
  ::waitpid(pid, &result, 0);
  EXPECT_EQ(result, 0);
}

TEST_P(FileDeviceTest, SizesAreRoundedDownToFrames) {
  EXPECT_EQ(make(12_KiB + 5_B)->traits().frames, FrameCount{3});
  EXPECT_EQ(status().st_size, 3 * 4096);
  fs::resize_file(path(), (3 * 4096) - 1);
  EXPECT_EQ((*FileDevice::open(path(), DeviceAccess::kReadWrite))->traits().frames, FrameCount{2});
  fs::resize_file(path(), 4095);
  auto short_file = FileDevice::open(path(), DeviceAccess::kReadWrite);
  EXPECT_EQ(code_of(short_file), Code::kInvalid);
  EXPECT_THAT(message_of(short_file), HasSubstr("3.9 KiB are too few"));
  EXPECT_EQ(code_of(FileDevice::create(path("tiny"), 4095_B)), Code::kInvalid);
  EXPECT_FALSE(fs::exists(path("tiny")));
}

TEST_P(FileDeviceTest, AReadOnlyDeviceRefusesWhatCanReportAndChecksTheRest) {
  make(1_MiB);
  auto device = std::move(*FileDevice::open(path(), DeviceAccess::kReadOnly));
  std::array<std::byte, 8> bytes{};
  Transfer write{0_B, bytes.data(), 8_B, Direction::kWrite};
  Transfer read{0_B, bytes.data(), 8_B, Direction::kRead};
  EXPECT_EQ(code_of(device->submit({&write, 1})), Code::kReadOnly);
  EXPECT_TRUE(device->submit({&read, 1}).has_value());
  EXPECT_EQ(code_of(device->map_at(nullptr, 0_B, 4_KiB, DeviceAccess::kReadWrite)), Code::kReadOnly);
  EXPECT_DEATH(device->store(0_B, bytes), "CHECK");
  EXPECT_DEATH(device->store_word(0_B, 1), "CHECK");
  EXPECT_DEATH(device->zero_streaming(0_B, 8_B), "CHECK");
}

TEST_P(FileDeviceTest, MissingFilesAndDirectoriesAreNamedAsSuch) {
  EXPECT_EQ(code_of(FileDevice::open(path("absent"), DeviceAccess::kReadOnly)), Code::kNotFound);
  EXPECT_EQ(code_of(FileDevice::create(path("absent/volume"), 1_MiB)), Code::kNotFound);
  EXPECT_EQ(code_of(FileDevice::open(directory_, DeviceAccess::kReadOnly)), Code::kIsDirectory);
  EXPECT_EQ(code_of(FileDevice::open(directory_, DeviceAccess::kReadWrite)), Code::kIsDirectory);
}

TEST_P(FileDeviceTest, AFileThatMayNotBeReadIsAnAccessError) {
  make(1_MiB);
  fs::permissions(path(), fs::perms::none);
  bool root = ::geteuid() == 0;
  if (root) {
    ASSERT_EQ(::seteuid(65534), 0);
  }
  auto refused = FileDevice::open(path(), DeviceAccess::kReadOnly);
  if (root) {
    ASSERT_EQ(::seteuid(0), 0);
  }
  EXPECT_EQ(code_of(refused), Code::kAccess);
}

TEST_P(FileDeviceTest, APipeIsRefusedWithoutWaitingForIt) {
  ASSERT_EQ(::mkfifo(path().c_str(), 0600), 0);
  EXPECT_EQ(code_of(FileDevice::open(path(), DeviceAccess::kReadOnly)), Code::kNotSupported);
}

TEST_P(FileDeviceTest, AFileSizeLimitIsAnErrorAndNotASignal) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit small{.rlim_cur = 1 << 20, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  auto refused = FileDevice::create(path(), 2_MiB);
  auto allowed = FileDevice::create(path("small"), 1_MiB);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_EQ(code_of(refused), Code::kFileTooBig);
  EXPECT_THAT(message_of(refused), HasSubstr("1 MiB (RLIMIT_FSIZE"));
  EXPECT_FALSE(fs::exists(path()));
  EXPECT_TRUE(allowed.has_value()) << message_of(allowed);
}

TEST_P(FileDeviceTest, MoreThanIsFreeIsRefusedBeforeAnythingIsTaken) {
  make(1_MiB)->store_word(0_B, 3);
  auto fresh = FileDevice::create(path("fresh"), 1_PiB);
  EXPECT_EQ(code_of(fresh), Code::kNoSpace);
  EXPECT_THAT(message_of(fresh), HasSubstr("1 PiB asked, "));
  EXPECT_FALSE(fs::exists(path("fresh")));
  EXPECT_EQ(code_of(FileDevice::create(path(), 1_PiB, {.overwrite = Overwrite::kYes})), Code::kNoSpace);
  auto kept = FileDevice::open(path(), DeviceAccess::kReadOnly);
  ASSERT_TRUE(kept.has_value());
  EXPECT_EQ(*(*kept)->address(0_B), std::byte{3});
}

/// The number of this process's descriptor of a file.
int descriptor_of(const std::string& path) {
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    std::error_code ignored;
    if (fs::read_symlink(entry.path(), ignored) == path) return std::stoi(entry.path().filename());
  }
  return -1;
}

TEST_P(FileDeviceTest, AFailedBarrierIsReportedAndStaysFailed) {
  auto device = make(1_MiB);
  if (device->traits().persistence != Persistence::kSync) GTEST_SKIP() << "nothing to sync here";
  ASSERT_TRUE(device->barrier().has_value());
  int number = descriptor_of(path());
  ASSERT_GE(number, 0);
  int saved = ::dup(number);
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe(pipe.data()), 0);
  ASSERT_EQ(::dup2(pipe[0], number), number);  // fdatasync of a pipe fails
  EXPECT_FALSE(device->barrier().has_value());
  ASSERT_EQ(::dup2(saved, number), number);
  auto later = device->barrier();
  EXPECT_EQ(code_of(later), Code::kIo);
  EXPECT_THAT(message_of(later), HasSubstr("an earlier sync failed"));
  for (int fd : {saved, pipe[0], pipe[1]}) ::close(fd);
}

/// A small file system of the test's own, in a mount namespace that only this process sees. Needs root.
class SmallFileSystem : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(::mkdtemp(directory_.data()), nullptr);
    if (::unshare(CLONE_NEWNS) != 0) GTEST_SKIP() << "mounting needs root";
    ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
  }
  void TearDown() override {
    ::umount(directory_.c_str());
    ::rmdir(directory_.c_str());
  }
  void mount(const char* type, const char* options) {
    ASSERT_EQ(::mount("none", directory_.c_str(), type, 0, options), 0);
  }
  std::string path(const std::string& name = "volume") const { return directory_ + "/" + name; }

  std::string directory_ = "/tmp/dmap_small_XXXXXX";
};

TEST_F(SmallFileSystem, RunningFullHalfwayLeavesNoFile) {
  mount("tmpfs", "size=160m");
  auto fill_up = [&](uint64_t, uint64_t) {
    int fd = ::open(path("other").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    EXPECT_EQ(::fallocate(fd, 0, 0, 64 << 20), 0);
    ::close(fd);
    return true;
  };
  auto full = FileDevice::create(path(), 128_MiB, {.progress = fill_up});
  EXPECT_EQ(code_of(full), Code::kNoSpace);
  EXPECT_THAT(message_of(full), HasSubstr("128 MiB asked, no room after 64 MiB, 32 MiB free now"));
  EXPECT_FALSE(fs::exists(path()));
}

TEST_F(SmallFileSystem, ReplacingCountsTheOldBlocksAsFree) {
  mount("tmpfs", "size=16m");
  ASSERT_TRUE(FileDevice::create(path(), 12_MiB).has_value());
  EXPECT_EQ(code_of(FileDevice::create(path("second"), 12_MiB)), Code::kNoSpace);
  auto replaced = FileDevice::create(path(), 14_MiB, {.overwrite = Overwrite::kYes});
  EXPECT_TRUE(replaced.has_value()) << message_of(replaced);
}

TEST_F(SmallFileSystem, WithoutFallocateZerosAreWritten) {
  mount("ramfs", nullptr);
  auto device = FileDevice::create(path(), 3_MiB + 4_KiB);
  ASSERT_TRUE(device.has_value()) << message_of(device);
  EXPECT_THAT((*device)->traits().medium, HasSubstr("ramfs"));
  EXPECT_FALSE((*device)->traits().durable);
  EXPECT_EQ(fs::file_size(path()), (3U << 20) + 4096);
}

TEST_F(SmallFileSystem, LargePagesAreReportedWhereTmpfsHasThem) {
  if (::mount("none", directory_.c_str(), "tmpfs", 0, "size=16m,huge=always") != 0) GTEST_SKIP() << "no huge tmpfs";
  auto device = FileDevice::create(path(), 4_MiB);
  ASSERT_TRUE(device.has_value()) << message_of(device);
  std::ifstream large("/sys/kernel/mm/transparent_hugepage/shmem_enabled");
  std::string words;
  std::getline(large, words);
  bool denied = words.find("[deny]") != std::string::npos;
  EXPECT_EQ((*device)->traits().page_size, denied ? 4_KiB : 2_MiB) << (*device)->traits().medium;
}

TEST(DeviceNodes, AMissingDaxDeviceIsNotFound) {
  auto missing = FileDevice::open("/dev/dax99.9", DeviceAccess::kReadWrite);
  EXPECT_EQ(message_of(missing), "open /dev/dax99.9: not_found (No such file or directory)");
}

TEST(DeviceNodes, OtherCharacterDevicesAreRefused) {
  auto null = FileDevice::open("/dev/null", DeviceAccess::kReadWrite);
  EXPECT_EQ(code_of(null), Code::kNotSupported);
  EXPECT_THAT(message_of(null), HasSubstr("not device DAX"));
  EXPECT_EQ(code_of(FileDevice::create("/dev/null", 1_MiB, {.overwrite = Overwrite::kYes})), Code::kNotSupported);
  EXPECT_TRUE(fs::exists("/dev/null"));
}

TEST(DeviceNodes, BlockDevicesAreRefusedForNow) {
  for (const auto& entry : fs::directory_iterator("/dev")) {
    if (!entry.is_block_file()) continue;
    auto block = FileDevice::open(entry.path(), DeviceAccess::kReadOnly);
    if (!block && block.error().code() != Code::kNotSupported) continue;  // no medium, or not ours to read
    EXPECT_THAT(message_of(block), HasSubstr("block devices are not supported yet"));
    return;
  }
  GTEST_SKIP() << "no block device that may be opened";
}

}  // namespace
}  // namespace dmap
