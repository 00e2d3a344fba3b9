// SPDX-License-Identifier: Apache-2.0
//
// check_volume: one pass over the tree in key order, then what can only be said of the whole: names against inodes,
// extents against the space map, nodes against the zones' maps.
#include "volume/check.h"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "device/file_device.h"

namespace dmap {
namespace {

std::string text_of(InodeNumber number) { return "inode " + std::to_string(static_cast<uint64_t>(number)); }

/// A set of frames, in bitmaps of 8192 that exist where it has any: 1 bit per frame, in the densest case.
class FrameSet {
 public:
  /// Adds a frame; false if it was there.
  bool add(uint64_t frame) {
    auto& words = groups_[frame / kGroupFrames];
    uint64_t bit = uint64_t{1} << (frame % 64);
    uint64_t& word = words[frame % kGroupFrames / 64];
    bool is_new = (word & bit) == 0;
    word |= bit;
    return is_new;
  }

  /// Calls visit(extent) for the runs within each group, ascending.
  template <typename Visit>
  void for_each_extent(Visit&& visit) const {
    for (const auto& [group, words] : groups_) {
      uint64_t start = 0;
      bool inside = false;
      for (uint64_t i = 0; i <= kGroupFrames; ++i) {
        bool in = i < kGroupFrames && (words[i / 64] >> (i % 64) & 1) != 0;
        if (in && !inside) start = i;
        if (!in && inside) visit(Extent{make_pfn(kHomeDevice, group * kGroupFrames + start), FrameCount{i - start}});
        inside = in;
      }
    }
  }

 private:
  std::map<uint64_t, GroupBits> groups_;
};

/// An inode as the pass found it.
struct Seen {
  InodeNumber number{};
  InodeNumber parent{};
  uint32_t links = 0;
  FileType type = FileType::kRegular;
  bool pending = false;  ///< an orphan key leads to it
};

/// A name: who is named, and in which directory.
struct Named {
  InodeNumber child{};
  InodeNumber directory{};
  FileType type = FileType::kRegular;
};

class Checker {
 public:
  Checker(VolumeCore& core, const CheckOptions& options) : core_(core), options_(options) {}

  CheckReport run() {
    report_.usage = core_.usage();
    report_.records_replayed = core_.store().open_info().records_replayed;
    for (const std::string& problem : core_.store().problems()) find({}, "", problem);
    walk_tree();
    finish_object();
    tell_late_findings();
    check_frames();
    check_names();
    check_counts();
    return report_;
  }

 private:
  void find(Pfn pfn, std::string path, std::string what) {
    ++report_.findings;
    if (options_.on_finding) options_.on_finding({pfn, std::move(path), std::move(what)});
  }
  void find_in(InodeNumber number, std::string what, Pfn pfn = {}) { late_.push_back({number, pfn, std::move(what)}); }

  void walk_tree() {
    core_.store().read([&](const Tree& tree) {
      uint64_t entries = 0;
      auto census = tree.check([&](const Error& error) { find({}, "", error.message()); },
                               [&](Key key, Value value) {
                                 meet(key, value);
                                 if (options_.progress && ++entries % 4096 == 0)
                                   options_.progress(entries, tree.entries());
                               });
      report_.tree_nodes = census.nodes;
      return 0;
    });
  }

  void tell_late_findings() {
    for (auto& [number, pfn, what] : late_) find(pfn, path_of(number), text_of(number) + ": " + what);
    late_.clear();
  }

  void meet(Key key, Value value) {
    InodeNumber object{key.object};
    if (object == kVolumeObject) return meet_volume_key(key);
    if (object != object_) {
      finish_object();
      start_object(object);
    }
    switch (record_kind(key)) {
      case Kind::kInode: return meet_inode(value);
      case Kind::kInline: inline_size_ = value.size(); return;
      case Kind::kSymlink: symlink_size_ += value.size(); return;
      case Kind::kDentry: return meet_dentries(key, value);
      case Kind::kXattr: ++xattr_parts_; return;
      case Kind::kExtent: return meet_extent(key, value);
      default: find_in(object, "a key of an unknown kind, " + std::to_string(kind_of(key)));
    }
  }

  void meet_volume_key(Key key) {
    if (record_kind(key) == Kind::kOrphan) orphans_.emplace_back(InodeNumber{offset_of(key)});
    if (record_kind(key) != Kind::kOrphan && record_kind(key) != Kind::kSpace) {
      find({}, "", "the volume has a key of an unknown kind, " + std::to_string(kind_of(key)));
    }
  }

  void start_object(InodeNumber object) {
    object_ = object;
    record_.reset();
    inline_size_.reset();
    symlink_size_ = xattr_parts_ = extents_ = frames_ = extent_end_ = 0;
  }

  void meet_inode(Value value) {
    auto record = decode_inode(value, object_);
    if (!record) return find_in(object_, "its record makes no sense");
    record_ = *record;
    ++report_.inodes;
    if (record->type == FileType::kDirectory) ++report_.directories;
    bool pending = std::ranges::binary_search(orphans_, object_);
    seen_.push_back({object_, record->parent, record->links, record->type, pending});
  }

  void meet_dentries(Key key, Value value) {
    auto chain = decode_dentries(value);
    if (!chain) return find_in(object_, "a directory entry makes no sense");
    for (const Dentry& dentry : *chain) {
      names_.push_back({dentry.inode, object_, dentry.type});
      bool at_home = hash_of(dentry.name, core_.store().superblock().hash_seed) == offset_of(key);
      if (!at_home) find_in(object_, "the entry '" + std::string(dentry.name) + "' lies under another name's hash");
    }
  }

  void meet_extent(Key key, Value value) {
    auto mapping = decode_extent(value, offset_of(key), core_.store().superblock().data());
    if (!mapping) return find_in(object_, std::string(mapping.error().detail()));
    ++report_.extents;
    if (mapping->file_frame < extent_end_) find_in(object_, "two of its extents overlap in the file", mapping->pfn);
    extent_end_ = std::max(extent_end_, mapping->end());
    for (uint64_t i = 0; i < mapping->frames; ++i) {
      Pfn pfn = mapping->pfn + FrameCount{i};
      if (!owned_.add(index_of(pfn))) find_in(object_, "another extent has this frame too", pfn);
    }
    owned_frames_ += mapping->frames;
    if (record_ && mapping->file_frame >= record_->dead_from) return;
    ++extents_;
    frames_ += mapping->frames;
  }

  void finish_object() {
    if (object_ == kVolumeObject) return;
    if (!record_) return find_in(object_, "it has keys and no inode");
    const InodeRecord& record = *record_;
    if (record.links == 0) return;  // about to vanish, perhaps half gone already
    auto says = [&](const char* what, uint64_t there, uint64_t said) {
      if (there != said)
        find_in(object_,
                std::string(what) + ": " + std::to_string(there) + " found, the inode says " + std::to_string(said));
    };
    says("extents", extents_, record.extents);
    says("frames", frames_, record.frames);
    if (record.is_inline) says("bytes", inline_size_.value_or(0), record.size);
    if (!record.is_inline && inline_size_) find_in(object_, "it has bytes in the tree and does not say so");
    if (record.type == FileType::kSymlink) says("bytes of its target", symlink_size_, record.size);
    if (xattr_parts_ > 0 && !record.has_xattrs) find_in(object_, "it has extended attributes and does not say so");
    if (record.type != FileType::kRegular && extents_ > 0) find_in(object_, "it is no file and has extents");
  }

  void check_frames() {
    owned_.for_each_extent([&](Extent extent) {
      auto known = core_.store().space().prepare_release(extent);
      if (!known)
        find(extent.first, "", "a file has frames that the space map gives to nobody: " + known.error().message());
    });
    uint64_t mapped = core_.store().space().counts().owned.value;
    if (mapped != owned_frames_) {
      find({}, "",
           "the space map has " + std::to_string(mapped) + " frames owned by files, the files have " +
               std::to_string(owned_frames_));
    }
    uint64_t live = core_.store().live_nodes();
    if (live != report_.tree_nodes) {
      find({}, "",
           "the metadata zones have " + std::to_string(live) + " nodes in use, the tree has " +
               std::to_string(report_.tree_nodes));
    }
  }

  void check_names() {
    std::ranges::sort(names_, {}, [](const Named& name) { return std::pair(name.child, name.directory); });
    std::unordered_map<uint64_t, uint64_t> subdirectories;
    for (const Named& name : names_) {
      if (name.type == FileType::kDirectory) ++subdirectories[static_cast<uint64_t>(name.directory)];
    }
    auto name = names_.begin();
    for (const Seen& inode : seen_) {
      while (name != names_.end() && name->child < inode.number) dangling(*name++);
      uint64_t names = 0;
      for (; name != names_.end() && name->child == inode.number; ++name, ++names) {
        if (name->type != inode.type)
          find({}, path_of(inode.number), text_of(inode.number) + ": a directory entry has another type");
        bool parent_differs = inode.type == FileType::kDirectory && name->directory != inode.parent;
        if (parent_differs)
          find({}, path_of(inode.number), text_of(inode.number) + ": it names another directory as its parent");
      }
      check_links(inode, names, subdirectories[static_cast<uint64_t>(inode.number)]);
    }
    while (name != names_.end()) dangling(*name++);
    check_reachable();
  }

  void dangling(const Named& name) {
    find({}, path_of(name.directory), "a directory entry leads to " + text_of(name.child) + ", which does not exist");
  }

  void check_links(const Seen& inode, uint64_t names, uint64_t subdirectories) {
    auto wrong = [&](const std::string& what) { find({}, path_of(inode.number), text_of(inode.number) + ": " + what); };
    if (inode.links == 0) {
      if (!inode.pending) wrong("it has no name, and nothing says that it is to vanish");
      if (names > 0) wrong("it is to vanish and has a name");
      return;
    }
    bool is_root = inode.number == kRootInode;
    bool is_directory = inode.type == FileType::kDirectory;
    uint64_t expected = is_directory ? 2 + subdirectories : names;
    if (inode.links != expected)
      wrong("links: " + std::to_string(expected) + " found, the inode says " + std::to_string(inode.links));
    if (names == 0 && !is_root) wrong("no name leads to it");
    if (is_directory && names > 1) wrong("a directory with several names");
  }

  /// Every directory leads up to the root: a ring of directories would have good names and counts.
  void check_reachable() {
    std::unordered_map<uint64_t, uint64_t> parents;
    for (const Seen& inode : seen_) {
      if (inode.type == FileType::kDirectory && inode.links > 0) {
        parents[static_cast<uint64_t>(inode.number)] = static_cast<uint64_t>(inode.parent);
      }
    }
    std::unordered_map<uint64_t, bool> good{{static_cast<uint64_t>(kRootInode), true}};
    for (const auto& [start, unused] : parents) {
      std::vector<uint64_t> way;
      uint64_t at = start;
      while (!good.contains(at) && parents.contains(at)) {
        good[at] = false;
        way.push_back(at);
        at = parents[at];
      }
      bool leads_up = good.contains(at) && good[at];
      for (uint64_t directory : way) good[directory] = leads_up;
      if (!way.empty() && !leads_up) find({}, "", text_of(InodeNumber{start}) + ": it does not lead up to the root");
    }
  }

  void check_counts() {
    if (report_.inodes != report_.usage.inodes) {
      find({}, "",
           std::to_string(report_.inodes) + " inodes found, the volume says " + std::to_string(report_.usage.inodes));
    }
    for (InodeNumber orphan : orphans_) {
      if (!std::ranges::binary_search(seen_, orphan, {}, &Seen::number))
        find({}, "", text_of(orphan) + ": it is to vanish and not there");
    }
  }

  /// A path to an inode, by the directories' own entries; empty if there is none.
  std::string path_of(InodeNumber number) {
    std::string path;
    for (int depth = 0; number != kRootInode && depth < 4096; ++depth) {
      auto found = std::ranges::find(names_, number, &Named::child);
      if (found == names_.end()) return {};
      path.insert(0, "/" + name_in(found->directory, number));
      number = found->directory;
    }
    return path.empty() ? "/" : path;
  }

  std::string name_in(InodeNumber directory, InodeNumber child) {
    return core_.store().read([&](const Tree& tree) {
      Cursor cursor(tree);
      auto moved = cursor.seek_ge(first_key(directory, Kind::kDentry));
      while (moved && *moved && cursor.key() <= last_key(directory, Kind::kDentry)) {
        auto chain = decode_dentries(cursor.value());
        auto found = chain ? std::ranges::find(*chain, child, &Dentry::inode) : decltype(chain->begin()){};
        if (chain && found != chain->end()) return std::string(found->name);
        moved = cursor.next();
      }
      return std::string("?");
    });
  }

  struct Late {
    InodeNumber number;
    Pfn pfn;
    std::string what;
  };

  VolumeCore& core_;
  const CheckOptions& options_;
  CheckReport report_;
  std::vector<Late> late_;  ///< findings of the pass, told when the names are known
  std::vector<InodeNumber> orphans_;
  std::vector<Seen> seen_;
  std::vector<Named> names_;
  FrameSet owned_;
  uint64_t owned_frames_ = 0;
  // The object that the pass is at.
  InodeNumber object_ = kVolumeObject;
  std::optional<InodeRecord> record_;
  std::optional<size_t> inline_size_;
  uint64_t symlink_size_ = 0;
  uint64_t xattr_parts_ = 0;
  uint64_t extents_ = 0;
  uint64_t frames_ = 0;
  uint64_t extent_end_ = 0;
};

}  // namespace

CheckReport check_core(VolumeCore& core, const CheckOptions& options) { return Checker(core, options).run(); }

Result<CheckReport> check_volume(const std::string& path, const CheckOptions& options) {
  auto device = DMAP_TRY(FileDevice::open(path, DeviceAccess::kReadOnly));
  auto core = DMAP_TRY(VolumeCore::open(std::move(device), {.access = Access::kReadOnly}));
  return check_core(*core, options);
}

}  // namespace dmap
