// SPDX-License-Identifier: Apache-2.0
//
// The frames of metadata zones: which of them the tree may take for its nodes. Their maps are written with the
// checkpoint, into the zones themselves, so free space does not recurse into the tree.
#ifndef DMAP_TREE_NODE_SPACE_H_
#define DMAP_TREE_NODE_SPACE_H_

#include <memory>
#include <span>
#include <vector>

#include "tree/node_frames.h"
#include "tree/zone_map.h"

namespace dmap {

/// Three sets of frames per zone, each what some tree refers to:
///   live      the newest tree, which changes go to
///   frozen    the checkpoint under way: live as of freeze(); the same as complete while none is under way
///   complete  the last complete checkpoint, which an open would start from
/// A frame is handed out only when it is in none of them. freeze(): frozen = live. complete(): complete = frozen, when
/// no superblock slot names an older checkpoint any more. fail(): frozen = complete, when all writes have ended.
/// So a frame that was born and freed between two freezes is reusable at once, and any other waits.
///
/// Thread safety: place(), is_live() and the counts under a shared lock, all else under an exclusive one.
class NodeSpace final : public NodeFrames {
 public:
  /// `volume` tags the maps.
  explicit NodeSpace(uint64_t volume);
  ~NodeSpace() override;

  /// Adds an empty zone of 64 to 32256 frames, of which two go to its map. `frames` is where its bytes can be read; it
  /// must stay there. The zone's map is among the next freeze()'s. Errors: kInvalid if it is no zone or overlaps one.
  Result<void> add_zone(Extent extent, std::span<const std::byte> frames);
  /// Adds a zone as it was at the complete checkpoint `generation`, by the maps in its frames.
  /// Errors: kCorrupt if neither map can be used, or it is no zone or overlaps one.
  Result<void> open_zone(Extent extent, std::span<const std::byte> frames, uint64_t generation);

  NodePlace place(Pfn pfn) const override;
  bool is_live(Pfn pfn) const override;
  Result<Pfn> allocate() override;
  void free(Pfn pfn) override;

  /// A zone's map, to be written to frame `pfn` before the checkpoint's superblock.
  struct MapImage {
    Pfn pfn;
    FrameBytes bytes;
  };
  /// Begins checkpoint `generation`, above all before it: the live frames of now are kept until it ends. Returns the
  /// maps that changed. At most one checkpoint is under way.
  std::vector<MapImage> freeze(uint64_t generation);
  /// The checkpoint under way is what every superblock slot names: frees what only older ones needed.
  void complete();
  /// The checkpoint under way will never be named by a superblock, and none of its writes is still on its way.
  void fail();

  /// A number that stands for the maps of the checkpoint begun last, or opened: (zone, generation of its map) of all.
  /// Kept with the checkpoint and compared after all zones are opened, it tells that a newer map was lost and an older
  /// one found in its stead, from which a frame in use would be handed out. Taken under the lock of the freeze().
  uint64_t maps_digest() const;

  /// In frames, without those of the maps. usable = available + those in any of the three sets.
  struct Counts {
    uint64_t usable = 0;
    uint64_t live = 0;
    uint64_t available = 0;
  };
  Counts counts() const { return counts_; }

  /// Proves frozen, complete and the counts consistent with each other. For tests and check.
  Result<void> check_invariants() const;

 private:
  struct Zone;

  Result<Zone*> insert_zone(Extent extent, std::span<const std::byte> frames, Code code);
  Zone* find(Pfn pfn) const;
  void recount(Zone& zone);

  const uint64_t volume_;
  std::vector<Pfn> firsts_;  // of zones_, ascending: what find() searches
  std::vector<std::unique_ptr<Zone>> zones_;
  Counts counts_;
  uint64_t generation_ = 0;  // of the checkpoint under way, 0 if none is
  size_t next_zone_ = 0;     // where allocate() goes on
};

}  // namespace dmap

#endif  // DMAP_TREE_NODE_SPACE_H_
