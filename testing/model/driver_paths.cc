// SPDX-License-Identifier: Apache-2.0
//
// What the driver operates on: names, paths that mostly exist, open files.
#include "testing/model/driver.h"

namespace dmap::testing {

std::string Driver::any_name() {
  uint64_t kind = random_.below(1000);
  if (kind < 700) return "n" + std::to_string(random_.below(12));
  if (kind < 940) return "wide" + std::to_string(random_.below(1500));
  if (kind < 970) return std::string(Volume::kNameMax - 1, 'x') + static_cast<char>('a' + random_.below(4));
  if (kind < 990) return "\xc3\xa4\xe2\x82\xac " + std::to_string(random_.below(4));
  if (kind < 995) return std::string(1, static_cast<char>(1 + random_.below(45)));  // below '.' and '/'
  return std::string(Volume::kNameMax + 1, 'y');
}

std::string Driver::any_path(InodeNumber start) {
  std::string path = random_.chance(50) ? "/" : "";
  for (;;) {
    const auto& entries = model_.node(start).entries;
    std::string name = !entries.empty() && random_.chance(75) ? random_.pick(entries).first : any_name();
    path += name;
    auto entry = entries.find(name);
    if (entry == entries.end()) return random_.chance(3) ? path + "/" + any_name() : path;
    const Node& object = model_.node(entry->second);
    if (object.type == FileType::kDirectory) {
      if (random_.chance(40)) return path;
      start = entry->second;
      path += random_.chance(95) ? "/" : random_.chance(50) ? "//" : "/./";
      if (random_.chance(3)) path += "../", start = model_.node(start).parent;
    } else {
      if (!random_.chance(object.type == FileType::kSymlink ? 30 : 4)) return path;
      path += "/" + any_name();
      return path;
    }
  }
}

Driver::Place Driver::any_place() {
  for (;;) {
    Place place;
    if (random_.chance(20)) {
      InodeNumber number = random_.pick(model_.nodes()).first;
      const Node& object = model_.node(number);
      if (object.type == FileType::kDirectory || (object.links > 0 && random_.chance(10))) place.directory = number;
    }
    bool below = model_.node(place.directory).type == FileType::kDirectory;
    place.path = below ? any_path(place.directory) : any_name();
    if (random_.below(500) == 0) place.directory = InodeNumber{~uint64_t{0} >> 20};
    if (random_.below(500) == 0) place.path.append(Volume::kPathMax, '/').append("n0");
    // How many links a path may go through is open between 8 (POSIX) and 40 (Linux).
    int follows = model_.follows(place.at());
    if (follows <= 8 || follows > Model::kFollowsMax) return place;
  }
}

std::string Driver::any_target() {
  uint64_t kind = random_.below(100);
  if (kind < 80) return any_path(kRootInode);
  if (kind < 90) return "../" + any_name();
  if (kind < 95) return random_.chance(50) ? "." : "..";
  std::string longest;
  while (longest.size() < Volume::kPathMax - 2) longest += "a/";
  return longest + "a";
}

Driver::Handle* Driver::any_handle() {
  if (handles_.empty()) open();
  return handles_.empty() ? nullptr : &random_.pick(handles_);
}

std::string Driver::Place::describe() const {
  std::string start = directory == kRootInode ? "" : "#" + std::to_string(static_cast<uint64_t>(directory)) + " ";
  return start + "'" + shortened(path) + "'";
}

}  // namespace dmap::testing
