// SPDX-License-Identifier: Apache-2.0
//
// What the tree is handed instead of devices: frames for its nodes, and one word of memory per frame.
#ifndef DMAP_TREE_NODE_FRAMES_H_
#define DMAP_TREE_NODE_FRAMES_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "dmap/result.h"
#include "dmap/types.h"

namespace dmap {

/// What the tree remembers about a frame: kUnmet, kVerified, or the address of the node's copy in RAM, which then
/// counts and not the frame. Belongs to the tree alone; frames are handed out with kUnmet.
using NodeWord = std::atomic<uintptr_t>;
inline constexpr uintptr_t kUnmet = 0;
inline constexpr uintptr_t kVerified = 1;

/// A frame of a metadata zone: its bytes as the device has them (4 KiB), and its word. Both null for any other pfn.
struct NodePlace {
  const std::byte* bytes = nullptr;
  NodeWord* word = nullptr;
};

/// Frames for nodes. place() and is_live() may be called by any number of threads under a shared lock, the rest under
/// an exclusive one; the lock is the tree's (see Tree). Nothing blocks.
class NodeFrames {
 public:
  virtual ~NodeFrames() = default;

  virtual NodePlace place(Pfn pfn) const = 0;
  /// Whether the newest tree may refer to this frame: allocated and not freed.
  virtual bool is_live(Pfn pfn) const = 0;
  /// A frame that neither the newest tree nor a checkpoint needs. Errors: kNoSpace.
  virtual Result<Pfn> allocate() = 0;
  /// The newest tree no longer refers to this live frame.
  virtual void free(Pfn pfn) = 0;
};

}  // namespace dmap

#endif  // DMAP_TREE_NODE_FRAMES_H_
