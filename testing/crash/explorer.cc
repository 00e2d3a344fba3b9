// SPDX-License-Identifier: Apache-2.0
#include "testing/crash/explorer.h"

#include <algorithm>
#include <cstring>
#include <ranges>
#include <utility>

#include "testing/crash/crash_device.h"
#include "volume/check.h"

namespace dmap::testing {
namespace {

constexpr uint64_t kJournal = 1 << 20;

/// Small, because each of many opens pays for it.
OpenOptions options_for_many() {
  return {.descriptor_memory = 1_MiB, .dirty_nodes = 1_MiB, .inode_cache = 1_MiB, .name_cache = 1_MiB, .views_max = 16};
}

SessionMark boot_number(uint64_t number) {
  SessionMark mark{};
  std::memcpy(mark.boot, &number, sizeof number);
  return mark;
}

/// What an episode begins with.
struct Start {
  Medium medium;
  uint64_t boot = 1;
  std::vector<World> worlds{};  ///< what may be there: one of these, from `allowed` on
  size_t allowed = 0;
  bool keeps_history =
      false;            ///< a process was killed on sync media: a power cut may still bring the earlier ones back
  std::string story{};  ///< how it came about
};

/// Where a trace can be cut with effect: before what makes stores durable, and where operations have returned.
std::vector<size_t> places_of(const Trace& trace) {
  std::vector<size_t> places;
  for (size_t i = 0; i < trace.size(); ++i) {
    Event::Kind kind = trace[i].kind;
    if (kind == Event::Kind::kFence || kind == Event::Kind::kBarrier) places.push_back(i);
    if (kind == Event::Kind::kEnd) places.push_back(i + 1);
  }
  return places;
}

class Explorer {
 public:
  explicit Explorer(const Exploration& exploration) : how_(exploration), random_(exploration.seed) {}

  Outcome run() {
    if (auto start = first_start()) {
      episode(*start, how_.depth);
    } else {
      complain("before the first episode: " + start.error().message());
    }
    return outcome_;
  }

 private:
  /// An episode under way.
  struct Run {
    Trace trace;
    std::vector<World> worlds;  ///< history, and one after each operation
    size_t base = 0;            ///< of `worlds`: before operation 1
    std::vector<Operation> operations;
  };

  [[nodiscard]] bool is_bad() const { return !outcome_.complaint.empty(); }
  void complain(const std::string& what) {
    if (!is_bad()) outcome_.complaint = "seed " + std::to_string(how_.seed) + ": " + what;
  }

  Result<std::unique_ptr<VolumeCore>> open(Image image, Trace& trace, uint64_t boot) {
    ++outcome_.opens;
    std::unique_ptr<Device> device = std::make_unique<CrashDevice>(std::move(image), how_.persistence, trace);
    if (how_.wrap) device = how_.wrap(std::move(device));
    return VolumeCore::open(std::move(device), options_for_many(),
                            {.boot = boot_number(boot), .background = Background::kOff});
  }

  Result<Start> first_start() {
    Trace trace;
    CrashDevice device(Image(how_.frames), how_.persistence, trace);
    DMAP_TRY(Store::format(device, {.journal = Bytes{kJournal}}, VolumeCore::first_entries()));
    Image image(how_.frames);
    std::memcpy(image.data(), device.data(), bytes_of(how_.frames).value);
    World world;
    if (how_.prepare) {
      Trace prepared;
      auto core = DMAP_TRY(open(image, prepared, 1));
      DMAP_TRY(how_.prepare(*core));
      DMAP_TRY(core->close());
      world = DMAP_TRY(read_world(*core));
      std::memcpy(image.data(), core->store().device().data(), bytes_of(how_.frames).value);
    }
    return Start{
        .medium = Medium(std::move(image), how_.persistence), .worlds = {std::move(world)}, .story = "formatted"};
  }

  void episode(const Start& start, uint64_t depth) {
    Run run;
    {
      auto opened = open(start.medium.seen(), run.trace, start.boot);
      if (!opened) return complain(start.story + ": it does not open: " + opened.error().message());
      VolumeCore& core = **opened;
      if (!verify(core, start, run)) return;
      operate(core, run, depth, start.story);
      if (depth == 0 && !is_bad()) delete_everything(core, run.worlds.back(), start.story);
      if (depth == 0 || is_bad()) return;
      // What closing the volume adds is no part of the run.
      size_t events = run.trace.size();
      opened->reset();
      run.trace.resize(events);
    }
    cut(start, run, depth);
  }

  bool verify(VolumeCore& core, const Start& start, Run& run) {
    check(core, start.story);
    if (is_bad()) return false;
    auto found = read_world(core);
    if (!found) return complain(start.story + ": it cannot be read: " + found.error().message()), false;
    Match matched = match(*found, std::span(start.worlds).subspan(start.allowed));
    if (!matched.found) return complain(start.story + ": " + matched.why), false;
    auto is_in = start.worlds.begin() + static_cast<ptrdiff_t>(start.allowed + matched.index);
    if (start.keeps_history) run.worlds.assign(start.worlds.begin(), is_in);
    run.base = run.worlds.size();
    run.worlds.push_back(with_contents_of(*is_in, *found));
    return true;
  }

  void check(VolumeCore& core, const std::string& story) {
    CheckReport report = check_core(core, {.on_finding = [&](const Finding& finding) {
                                      complain(story + ": check: " + finding.path + " " + finding.what);
                                    }});
    if (report.findings > 0) complain(story + ": check found something");
  }

  void operate(VolumeCore& core, Run& run, uint64_t depth, const std::string& story) {
    bool first = depth == how_.depth;
    uint64_t count = first ? how_.operations : depth == 0 ? 3 : 8;
    bool closes = depth > 0 && random_.chance(50);
    for (uint64_t i = 0; i < count + (closes ? 1 : 0); ++i) {
      Operation operation =
          i == count ? Operation{.kind = Operation::Kind::kClose} : choose(run.worlds.back(), random_);
      if (first && i < how_.script.size()) operation = how_.script[i];
      uint64_t number = run.operations.size() + 1;
      run.trace.push_back({.kind = Event::Kind::kBegin, .at = number});
      auto done = perform(core, operation);
      run.trace.push_back({.kind = Event::Kind::kEnd, .at = number});
      if (!done) {
        Usage usage = core.usage();
        return complain(story + ", then " + operation.text() + ": " + done.error().message() + "; " +
                        std::to_string(frames_within(usage.owned).value) + " frames owned, " +
                        std::to_string(frames_within(usage.metadata).value) + " metadata");
      }
      run.worlds.push_back(after(run.worlds.back(), operation));
      run.operations.push_back(std::move(operation));
    }
  }

  void delete_everything(VolumeCore& core, const World& world, const std::string& story) {
    for (const auto& name : std::views::reverse(world.names)) {
      auto gone = perform(core, {.kind = Operation::Kind::kUnlink, .path = name.first});
      if (!gone) return complain(story + ", then unlink " + name.first + ": " + gone.error().message());
    }
    auto closed = core.close();
    if (!closed) return complain(story + ", then close: " + closed.error().message());
    check(core, story + ", then everything deleted");
    Usage usage = core.usage();
    if (usage.owned > Bytes{0} || usage.inodes != 1) complain(story + ": what was deleted did not come back");
  }

  void cut(const Start& start, const Run& run, uint64_t depth) {
    std::vector<size_t> places = places_of(run.trace);
    uint64_t wanted = depth == how_.depth ? how_.cuts : 1;
    if (wanted == 0) wanted = places.size();
    while (places.size() > wanted) places.erase(places.begin() + static_cast<ptrdiff_t>(random_.below(places.size())));

    Medium medium = start.medium;
    size_t at = 0;
    size_t begun = 0;
    size_t ended = 0;
    size_t synced = 0;
    for (size_t place : places) {
      for (; at < place; ++at) {
        const Event& event = run.trace[at];
        medium.apply(event);
        if (event.kind == Event::Kind::kBegin) begun = event.at;
        if (event.kind != Event::Kind::kEnd) continue;
        ended = event.at;
        if (run.operations[ended - 1].is_sync()) synced = run.base + ended;
      }
      ++outcome_.cuts;
      bool kill = random_.chance(how_.kill_percent);
      std::string where = " cut at event " + std::to_string(place) + " of " + std::to_string(run.trace.size()) + ", " +
                          (begun == 0 ? std::string("opening") : run.operations[begun - 1].text()) +
                          (begun == ended ? " done" : "");
      episode(kill ? killed(start, run, medium, synced, ended, begun, where)
                   : powerless(start, run, medium, synced, ended, begun, where),
              depth - 1);
      if (is_bad()) return;
    }
  }

  Start killed(const Start& start, const Run& run, Medium medium, size_t synced, size_t ended, size_t begun,
               const std::string& where) {
    medium.kill();
    bool sync = how_.persistence == Persistence::kSync;
    size_t first = sync ? synced : run.base + ended;
    auto begin = run.worlds.begin();
    return {.medium = std::move(medium),
            .boot = start.boot,
            .worlds = {begin + static_cast<ptrdiff_t>(first), begin + static_cast<ptrdiff_t>(run.base + begun + 1)},
            .allowed = run.base + ended - first,
            .keeps_history = sync,
            .story = start.story + "; killed," + where};
  }

  Start powerless(const Start& start, const Run& run, const Medium& medium, size_t synced, size_t ended, size_t begun,
                  const std::string& where) {
    bool sync = how_.persistence == Persistence::kSync;
    size_t first = sync ? synced : run.base + ended;
    Loss loss = random_.pick(kLosses);
    auto begin = run.worlds.begin();
    return {.medium = Medium(medium.power_cut(loss, random_), how_.persistence),
            .boot = start.boot + 1,
            .worlds = {begin + static_cast<ptrdiff_t>(first), begin + static_cast<ptrdiff_t>(run.base + begun + 1)},
            .story = start.story + "; no power (loss " + std::to_string(static_cast<int>(loss)) + ")," + where};
  }

  const Exploration& how_;
  Random random_;
  Outcome outcome_;
};

}  // namespace

Outcome explore(const Exploration& exploration) { return Explorer(exploration).run(); }

}  // namespace dmap::testing
