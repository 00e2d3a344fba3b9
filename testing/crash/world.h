// SPDX-License-Identifier: Apache-2.0
//
// What the files of a volume are, and what an operation makes of them: the model that a recovered volume is held
// against.
#ifndef DMAP_TESTING_CRASH_WORLD_H_
#define DMAP_TESTING_CRASH_WORLD_H_

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "testing/support/random.h"
#include "volume/core.h"

namespace dmap::testing {

struct Object {
  bool is_directory = false;
  std::string content{};
  std::map<std::string, std::string> xattrs{};
};

/// All names and objects at one moment. Copies are cheap and share what never changes.
struct World {
  std::map<std::string, uint64_t> names;                      ///< paths without the root
  std::map<uint64_t, std::shared_ptr<const Object>> objects;  ///< by a number of the model's own
  uint64_t next = 1;

  [[nodiscard]] const Object& at(const std::string& path) const { return *objects.at(names.at(path)); }
};

struct Operation {
  enum class Kind : uint8_t {
    kCreate,
    kMakeDirectory,
    kWrite,
    kAppend,
    kTruncate,
    kPunch,
    kAllocate,
    kUnlink,  // of a directory too
    kRename,
    kLink,
    kXattr,
    kSync,
    kCheckpoint,
    kClose,  // the last of a run
  };
  Kind kind = Kind::kSync;
  std::string path{};
  std::string other{};  ///< the new name; of an xattr, its name
  uint64_t offset = 0;  ///< kTruncate: the new size
  uint64_t length = 0;  ///< of kPunch and kAllocate
  std::string bytes{};

  /// Whether everything before it is durable on sync media when it has returned.
  [[nodiscard]] bool is_sync() const { return kind >= Kind::kSync; }
  [[nodiscard]] std::string text() const;
};

/// An operation that succeeds in this world.
Operation choose(const World& world, Random& random);
/// The same operation on the model and on a volume.
World after(World world, const Operation& operation);
Result<void> perform(VolumeCore& core, const Operation& operation);

/// Everything that can be read from a volume.
Result<World> read_world(VolumeCore& core);

/// Which of `worlds` the volume is in, if any: names, types, sizes and attributes are those of one of them, and every
/// byte is what the same place of the same file had in any of them (a plain overwrite may mix old and new).
struct Match {
  bool found = false;
  size_t index = 0;
  std::string why;  ///< not: compared to the last of them
};
Match match(const World& found, std::span<const World> worlds);
/// `matched`, with the bytes that were found.
World with_contents_of(World matched, const World& found);

}  // namespace dmap::testing

#endif  // DMAP_TESTING_CRASH_WORLD_H_
