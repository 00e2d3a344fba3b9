// SPDX-License-Identifier: Apache-2.0
//
// The reference model: a POSIX-like file system in plain containers, one thread, no space limit, no time to speak of.
// It says what dmap::Volume must answer. The calls have the names of Volume's; those that make an object are told the
// number that the volume gave it.
#ifndef DMAP_TESTING_MODEL_MODEL_H_
#define DMAP_TESTING_MODEL_MODEL_H_

#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "dmap/options.h"
#include "dmap/result.h"
#include "dmap/volume.h"
#include "testing/model/content.h"

namespace dmap::testing {

/// Codes any of which is right: where several things are wrong at once it is open which of them is named.
class Codes {
 public:
  constexpr Codes() = default;
  constexpr Codes(Code code) : bits_(uint64_t{1} << static_cast<unsigned>(code)) {}  // NOLINT
  static constexpr Codes any() { return Codes(~uint64_t{0}, 0); }
  friend constexpr Codes operator|(Codes a, Codes b) { return Codes(a.bits_ | b.bits_, 0); }
  constexpr Codes& operator|=(Codes other) { return *this = *this | other; }
  [[nodiscard]] constexpr bool empty() const { return bits_ == 0; }
  [[nodiscard]] constexpr bool contains(Code code) const { return (bits_ >> static_cast<unsigned>(code) & 1) != 0; }
  [[nodiscard]] std::string describe() const;

 private:
  constexpr Codes(uint64_t bits, int) : bits_(bits) {}
  uint64_t bits_ = 0;
};

constexpr Codes operator|(Code a, Code b) { return Codes(a) | Codes(b); }

template <typename T>
using Outcome = std::expected<T, Codes>;

struct Node {
  FileType type = FileType::kRegular;
  Ownership ownership{};
  uint32_t links = 1;  ///< names; of anything but a directory
  uint64_t device = 0;
  std::optional<Time> modified{};  ///< set by hand, and not changed since
  std::string target{};            ///< of a symbolic link
  Content content{};
  std::map<std::string, InodeNumber> entries{};  ///< of a directory
  InodeNumber parent{};                          ///< of a directory
  std::map<std::string, std::string> xattrs{};
  uint32_t opens = 0;
};

class Model {
 public:
  static constexpr int kFollowsMax = 40;  ///< symbolic links in one resolution, as in Linux

  Model();

  [[nodiscard]] const std::map<InodeNumber, Node>& nodes() const { return nodes_; }
  [[nodiscard]] const Node& node(InodeNumber number) const { return nodes_.at(number); }
  /// For the calls on open files, which need no path: change what you like.
  [[nodiscard]] Node& node(InodeNumber number) { return nodes_.at(number); }
  [[nodiscard]] bool contains(InodeNumber number) const { return nodes_.contains(number); }
  /// How many symbolic links resolving `at` goes through; kFollowsMax + 1 for a loop.
  [[nodiscard]] int follows(const At& at) const;

  [[nodiscard]] Outcome<InodeNumber> lookup(const At& at, Follow follow) const;
  Outcome<InodeNumber> make(const At& at, FileType type, Ownership ownership, InodeNumber number,
                            std::string_view target = {}, uint64_t device = 0);
  /// Counts an opener; close() takes it back. `number` is for a file that has to be made.
  Outcome<InodeNumber> open(const At& at, const FileOptions& options, InodeNumber number);
  void close(InodeNumber number);
  Outcome<void> unlink(const At& at);
  Outcome<void> remove_directory(const At& at);
  Outcome<void> link(const At& existing, const At& name, Follow follow);
  Outcome<void> rename(const At& from, const At& to, RenameMode mode);
  Outcome<void> set_attributes(const At& at, const AttributeChanges& changes, Follow follow);
  [[nodiscard]] Outcome<std::string> read_link(const At& at) const;

  Outcome<void> set_xattr(const At& at, const std::string& name, const std::string& value, XattrMode mode,
                          Follow follow);
  Outcome<void> remove_xattr(const At& at, const std::string& name, Follow follow);
  [[nodiscard]] Outcome<std::string> get_xattr(const At& at, const std::string& name, Follow follow) const;

  /// Objects that went (their last name and last opener did) since the last call.
  std::set<InodeNumber> take_vanished() { return std::exchange(vanished_, {}); }

 private:
  /// Where a path leads. `name` is empty if it ends in no name (root, ".", ".."); `found` if nothing is there.
  struct Walk {
    InodeNumber parent{};
    std::string name;
    std::optional<InodeNumber> found;
  };
  Outcome<Walk> walk(const At& at, Follow follow, int* follows_count = nullptr) const;
  [[nodiscard]] bool is_directory(InodeNumber number) const { return node(number).type == FileType::kDirectory; }
  [[nodiscard]] bool lies_below(InodeNumber number, InodeNumber ancestor) const;
  void enter(InodeNumber parent, const std::string& name, InodeNumber number);
  void leave(InodeNumber parent, const std::string& name);
  void drop_if_unused(InodeNumber number);

  std::map<InodeNumber, Node> nodes_;
  std::set<InodeNumber> vanished_;
};

}  // namespace dmap::testing

#endif  // DMAP_TESTING_MODEL_MODEL_H_
