// SPDX-License-Identifier: Apache-2.0
//
// Runs seeded random operations on a real Volume and on the reference model side by side, compares every answer, and
// now and then everything.
#ifndef DMAP_TESTING_MODEL_DRIVER_H_
#define DMAP_TESTING_MODEL_DRIVER_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dmap/volume.h"
#include "testing/model/hold.h"
#include "testing/model/model.h"
#include "testing/support/random.h"

namespace dmap::testing {

struct DriverOptions {
  uint64_t seed = 1;
  uint64_t operations = 1000;
  std::string path;  ///< of the volume's file; empty: in memory, and never reopened
  Bytes size = 64_MiB;
  uint64_t compare_every = 1000;  ///< operations between full comparisons
  uint64_t write_max = 3 << 20;   ///< bytes of the largest single write
};

class Driver {
 public:
  explicit Driver(DriverOptions options);
  ~Driver();

  /// Formats, opens, runs it all, empties the volume at the end. The report of the first difference; empty: none.
  std::string run();
  /// For tests of the driver itself: changes the model behind its back, so that run() has a difference to find.
  void falsify_after(uint64_t operations) { falsify_after_ = operations; }

  [[nodiscard]] std::string statistics() const;

 private:
  struct Handle {
    File file;
    InodeNumber inode;
    Access access;
  };
  struct Kind {
    const char* name;
    unsigned growing;  ///< weights in the two phases that take turns
    unsigned shrinking;
    void (Driver::*run)();
  };
  static const std::vector<Kind>& kinds();

  // driver.cc: the loop, and judging
  bool open_volume();
  bool close_volume();
  void reopen();
  void one_operation();
  void empty_the_volume();
  void falsify();
  void say(const std::string& what);
  void differs(const std::string& how);
  [[nodiscard]] bool failed() const { return !report_.empty(); }
  template <typename T, typename U>
  bool judge(const Result<T>& real, const Outcome<U>& wanted);
  /// True if `real` failed for want of space, which is a difference unless the volume is nearly full.
  template <typename T>
  bool ran_out(const Result<T>& real, uint64_t need);
  void vanish();
  void forget_handles();

  // driver_paths.cc: what to operate on
  struct Place {
    InodeNumber directory = kRootInode;
    std::string path;
    [[nodiscard]] At at() const { return directory == kRootInode ? At(path) : At(directory, path); }
    [[nodiscard]] std::string describe() const;
  };
  std::string any_name();
  std::string any_path(InodeNumber start);
  Place any_place();
  std::string any_target();
  Handle* any_handle();

  // driver_names.cc: operations on names
  void open();
  void close();
  void make_directory();
  void make_symlink();
  void make_node();
  void unlink();
  void remove_directory();
  void link();
  void rename();
  void look();
  void list();
  void set_attributes();
  void set_xattr();
  void remove_xattr();
  void read_xattr();
  void sync();
  void checkpoint();

  // driver_files.cc: operations on open files
  void write();
  void append();
  void read();
  void truncate();
  void allocate();
  void punch();
  void seek();
  void view();
  void pin();
  void poke();
  void drop_hold();
  uint64_t any_offset(uint64_t size);
  uint64_t any_length();
  void apply_write(InodeNumber inode, uint64_t offset, const std::string& text);
  void cut(InodeNumber inode, uint64_t size);
  void verify_range(const File& file, InodeNumber inode, uint64_t offset, uint64_t length);

  // compare.cc: comparing everything
  void compare_everything();
  void compare_object(InodeNumber number);
  void compare_stat(const Stat& stat, InodeNumber number);
  void compare_directory(InodeNumber number, size_t page);
  void compare_xattrs(InodeNumber number);
  void compare_content(const File& file, InodeNumber number);
  void compare_extents(const File& file, InodeNumber number);
  void compare_usage();
  void compare_holds();

  DriverOptions options_;
  Random random_;
  Model model_;
  std::optional<Volume> volume_;
  std::deque<Handle> handles_;
  std::deque<Hold> holds_;
  std::map<uint64_t, uint64_t> owned_;  ///< first pfn -> pfn behind the last, of a full comparison under way

  uint64_t operation_ = 0;
  uint64_t falsify_after_ = ~uint64_t{0};
  uint64_t hidden_inodes_ = 0;  ///< what usage() counts beyond the model's objects
  std::deque<std::string> last_;
  std::string report_;
  uint64_t out_of_space_ = 0, refused_ = 0, reopened_ = 0, compared_ = 0, most_objects_ = 0;
};

/// A range and a long text as the driver says them.
std::string range_text(uint64_t offset, uint64_t length);
std::string shortened(const std::string& text);

template <typename T, typename U>
bool Driver::judge(const Result<T>& real, const Outcome<U>& wanted) {
  bool same =
      real.has_value() ? wanted.has_value() : !wanted.has_value() && wanted.error().contains(real.error().code());
  if (!real.has_value()) ++refused_;
  if (!same) {
    differs("the volume says " + (real.has_value() ? std::string("done") : real.error().message()) +
            ", the model says " + (wanted.has_value() ? std::string("done") : wanted.error().describe()));
  }
  return same && real.has_value();
}

template <typename T>
bool Driver::ran_out(const Result<T>& real, uint64_t need) {
  if (real.has_value() || real.error().code() != Code::kNoSpace) return false;
  ++out_of_space_;
  uint64_t slack = options_.size.value / 4 + (512 << 10);  // what metadata (a zone in one piece) and fragments may take
  uint64_t free = volume_->usage().free.value;
  if (free > need + slack) differs(real.error().message() + " with " + std::to_string(free) + " bytes free");
  return true;
}

}  // namespace dmap::testing

#endif  // DMAP_TESTING_MODEL_DRIVER_H_
