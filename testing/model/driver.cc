// SPDX-License-Identifier: Apache-2.0
#include "testing/model/driver.h"

#include <utility>

#include "dmap/check.h"

namespace dmap::testing {
namespace {

constexpr size_t kLastShown = 20;
constexpr uint64_t kPhase = 2000;  // operations before growing turns into shrinking and back

}  // namespace

const std::vector<Driver::Kind>& Driver::kinds() {
  static const std::vector<Kind> kKinds = {
      {"open", 120, 60, &Driver::open},
      {"close", 50, 60, &Driver::close},
      {"mkdir", 40, 15, &Driver::make_directory},
      {"symlink", 25, 10, &Driver::make_symlink},
      {"mknod", 10, 5, &Driver::make_node},
      {"unlink", 20, 110, &Driver::unlink},
      {"rmdir", 10, 40, &Driver::remove_directory},
      {"link", 30, 15, &Driver::link},
      {"rename", 70, 70, &Driver::rename},
      {"look", 60, 40, &Driver::look},
      {"list", 15, 15, &Driver::list},
      {"set_attributes", 25, 15, &Driver::set_attributes},
      {"set_xattr", 30, 15, &Driver::set_xattr},
      {"remove_xattr", 10, 30, &Driver::remove_xattr},
      {"read_xattr", 20, 10, &Driver::read_xattr},
      {"sync", 3, 3, &Driver::sync},
      {"checkpoint", 3, 3, &Driver::checkpoint},
      {"reopen", 3, 3, &Driver::reopen},
      {"write", 150, 60, &Driver::write},
      {"append", 50, 20, &Driver::append},
      {"read", 100, 80, &Driver::read},
      {"truncate", 30, 80, &Driver::truncate},
      {"allocate", 15, 5, &Driver::allocate},
      {"punch", 20, 50, &Driver::punch},
      {"seek", 40, 40, &Driver::seek},
      {"view", 30, 30, &Driver::view},
      {"pin", 20, 20, &Driver::pin},
      {"poke", 15, 15, &Driver::poke},
      {"drop_hold", 30, 30, &Driver::drop_hold},
  };
  return kKinds;
}

Driver::Driver(DriverOptions options) : options_(std::move(options)), random_(options_.seed) {}

Driver::~Driver() {
  holds_.clear();
  handles_.clear();
}

std::string range_text(uint64_t offset, uint64_t length) {
  return "[" + std::to_string(offset) + ", +" + std::to_string(length) + ")";
}

std::string shortened(const std::string& text) {
  return text.size() <= 60 ? text : text.substr(0, 40) + "...(" + std::to_string(text.size()) + ")";
}

void Driver::say(const std::string& what) {
  last_.push_back(std::to_string(operation_) + " " + what);
  if (last_.size() > kLastShown) last_.pop_front();
}

void Driver::differs(const std::string& how) {
  if (failed()) return;
  report_ = "seed " + std::to_string(options_.seed) + ", operation " + std::to_string(operation_) + ": " + how +
            "\nthe last operations:\n";
  for (const std::string& what : last_) report_ += "  " + what + "\n";
  report_ += statistics() + "\nrepeat with DMAP_SEED=" + std::to_string(options_.seed) + "\n";
}

std::string Driver::statistics() const {
  return std::to_string(operation_) + " operations, " + std::to_string(refused_) + " refused, " +
         std::to_string(out_of_space_) + " out of space, " + std::to_string(reopened_) + " reopened, " +
         std::to_string(compared_) + " full comparisons, at most " + std::to_string(most_objects_) + " objects";
}

bool Driver::open_volume() {
  // A small table of dirty nodes and a small journal: both have to make room by themselves.
  OpenOptions open{.dirty_nodes = 2_MiB, .inode_cache = 1_MiB, .name_cache = 1_MiB};
  Result<Volume> volume =
      options_.path.empty() ? Volume::in_memory(options_.size, open) : Volume::open(options_.path, open);
  if (!volume) return differs(volume.error().message()), false;
  volume_.emplace(std::move(*volume));
  return true;
}

void Driver::forget_handles() {
  holds_.clear();
  while (!handles_.empty()) {
    model_.close(handles_.front().inode);
    handles_.pop_front();
  }
  model_.take_vanished();
}

bool Driver::close_volume() {
  compare_holds();
  forget_handles();
  Result<void> closed = volume_->close();
  volume_.reset();
  if (!closed) return differs(closed.error().message()), false;
  if (options_.path.empty()) return true;
  std::string findings;
  auto report = check_volume(
      options_.path,
      {.on_finding = [&](const Finding& finding) { findings += "\n  " + finding.path + ": " + finding.what; },
       .progress = {}});
  if (!report) return differs("check: " + report.error().message()), false;
  if (report->findings != 0) return differs("check found:" + findings), false;
  return true;
}

void Driver::reopen() {
  if (options_.path.empty()) return;
  say("reopen");
  ++reopened_;
  if (!close_volume() || !open_volume()) return;
  if (uint64_t replayed = volume_->open_info().records_replayed; replayed != 0) {
    differs(std::to_string(replayed) + " records replayed after a clean close");
  }
  compare_everything();
}

void Driver::vanish() {
  for (InodeNumber number : model_.take_vanished()) {
    for (Hold& hold : holds_) {
      if (hold.inode() == number) hold.removed(0, ~uint64_t{0});
    }
  }
}

void Driver::one_operation() {
  bool growing = operation_ / kPhase % 2 == 0;
  auto weight = [&](const Kind& kind) { return growing ? kind.growing : kind.shrinking; };
  unsigned total = 0;
  for (const Kind& kind : kinds()) total += weight(kind);
  uint64_t pick = random_.below(total);
  for (const Kind& kind : kinds()) {
    if (pick < weight(kind)) return (this->*kind.run)();
    pick -= weight(kind);
  }
}

void Driver::falsify() {
  say("falsify");
  for (const auto& [number, node] : model_.nodes()) {
    if (node.content.size() == 0) continue;
    char other = static_cast<char>(node.content.read(0, 1)[0] + 1);
    model_.node(number).content.write(0, std::string(1, other));
    return;
  }
  ++falsify_after_;  // no file has content yet
}

void Driver::empty_the_volume() {
  say("empty the volume");
  forget_handles();
  // Deepest first: an object's number says nothing about its depth, so take what can go until all is gone.
  while (model_.nodes().size() > 1 && !failed()) {
    InodeNumber directory = kRootInode;
    std::string name;
    for (;;) {
      const auto& [first, number] = *model_.node(directory).entries.begin();
      name = first;
      if (model_.node(number).type != FileType::kDirectory || model_.node(number).entries.empty()) break;
      directory = number;
    }
    At at(directory, name);
    if (model_.node(model_.node(directory).entries.at(name)).type == FileType::kDirectory) {
      judge(volume_->remove_directory(at), model_.remove_directory(at));
    } else {
      judge(volume_->unlink(at), model_.unlink(at));
    }
  }
  for (int i = 0; i < 2 && !options_.path.empty() && !failed(); ++i) reopen();  // twice: the graveyard empties
  if (failed()) return;
  Usage usage = volume_->usage();
  bool settled = options_.path.empty() ? true : usage.owned == Bytes{0} && usage.quarantined == Bytes{0};
  if (!settled) {
    differs("an empty volume owns " + std::to_string(usage.owned.value) + " bytes and has " +
            std::to_string(usage.quarantined.value) + " quarantined");
  }
}

std::string Driver::run() {
  if (!options_.path.empty()) {
    Result<void> made = Volume::format(options_.path, {.size = options_.size, .journal = 1_MiB, .progress = {}});
    if (!made) return made.error().message();
  }
  if (!open_volume()) return report_;
  hidden_inodes_ = volume_->usage().inodes - model_.nodes().size();
  while (operation_ < options_.operations && !failed()) {
    ++operation_;
    one_operation();
    vanish();
    most_objects_ = std::max<uint64_t>(most_objects_, model_.nodes().size());
    if (operation_ == falsify_after_) falsify();
    if (operation_ % options_.compare_every == 0 && !failed()) compare_everything();
  }
  if (!failed()) compare_everything();
  if (!failed()) empty_the_volume();
  if (!failed()) close_volume();
  forget_handles();
  volume_.reset();
  return report_;
}

}  // namespace dmap::testing
