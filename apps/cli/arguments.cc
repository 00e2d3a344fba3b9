// SPDX-License-Identifier: Apache-2.0
#include "arguments.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "commands.h"
#include "report.h"
#include "text.h"

namespace dmap::cli {
namespace {

constexpr const char* kFooter = R"(
A place in a volume is written VOLUME:/path; VOLUME:/ is its root. VOLUME is a plain file or a
device (/dev/dax0.0). Where a volume's own path holds ":/", the split is at the first ":/" behind
the name of a file that is there, and at the last one if there is none.

  dmap mkfs --size 64G /mnt/pmem/weights.dmap
  dmap put ~/models /mnt/pmem/weights.dmap:/
  dmap ls -l /mnt/pmem/weights.dmap:/models
  dmap get /mnt/pmem/weights.dmap:/models/a.bin .
  dmap check /mnt/pmem/weights.dmap

Sizes: 4K, 64M, 1G, 1T (or 64MiB) in steps of 1024; 1GB in steps of 1000; 4096 is bytes.
Exit codes: 0 done, 1 something failed, 2 wrong arguments. dmap check: 0 clean, 1 findings,
2 could not look. dmap COMMAND --help has examples for each command.)";

/// The arguments as CLI11 wants them, the last one first. It would take `[a,b]` apart as a list of values where a list
/// is allowed, which are paths with us; `./[a,b]` is the same path. (ln has no list, and with -s takes any text.)
std::vector<std::string> arguments_of(int argc, char** argv) {
  std::vector<std::string> arguments(std::reverse_iterator(argv + argc), std::reverse_iterator(argv + 1));
  if (arguments.empty() || arguments.back() == "ln") return arguments;
  for (std::string& argument : arguments) {
    if (argument.starts_with('[') && argument.ends_with(']')) argument.insert(0, "./");
  }
  return arguments;
}

template <typename Arguments>
const Arguments& completed(Arguments& arguments) {
  return arguments;
}

/// CLI11 gives a positional list everything, and the last of it is the destination.
const CopyArguments& completed(CopyArguments& arguments) {
  arguments.destination = std::move(arguments.sources.back());
  arguments.sources.pop_back();
  return arguments;
}

/// The commands, each with its arguments and the function that runs it.
class CommandLine {
 public:
  CommandLine() : app_("dmap keeps files on memory: a volume's frames are its page cache.", "dmap") {
    app_.require_subcommand(1);
    app_.footer(kFooter);
    app_.set_version_flag("--version", "dmap 0.1.0");
    add_making();
    add_copying();
    add_showing();
    add_names();
  }

  int run(int argc, char** argv) {
    try {
      app_.parse(arguments_of(argc, argv));
    } catch (const CLI::Success& asked) {  // --help, --version
      return app_.exit(asked);
    } catch (const CLI::ParseError& error) {
      auto commands = app_.get_subcommands();
      std::string command = commands.empty() ? "" : " " + commands.front()->get_name();
      fmt::print(stderr, "dmap{}: {}; see dmap{} --help\n", command, escaped(error.what()), command);
      return kExitUsage;
    }
    return run_();
  }

 private:
  /// A command that calls `function` with its Arguments.
  template <typename Arguments>
  CLI::App& add(const char* name, const char* what, const char* examples, int (*function)(const Arguments&),
                Arguments*& arguments) {
    CLI::App* command = app_.add_subcommand(name, what);
    command->footer(std::string("\nExamples:\n") + examples);
    auto owned = std::make_shared<Arguments>();
    arguments = owned.get();
    command->callback([this, function, owned] { run_ = [function, owned] { return function(completed(*owned)); }; });
    return *command;
  }

  /// One or more places.
  static void add_paths(CLI::App& command, std::vector<std::string>& paths, const char* name, const char* what) {
    command.add_option(name, paths, what)->required()->expected(1, -1);
  }

  void add_making() {
    MkfsArguments* mkfs = nullptr;
    CLI::App& make = add<MkfsArguments>("mkfs", "Make an empty volume in a file or on a device.",
                                        "  dmap mkfs --size 64G /mnt/pmem/weights.dmap   a file, its blocks allocated\n"
                                        "  dmap mkfs /dev/dax0.0                         a whole device\n"
                                        "  dmap mkfs --size 1T --sparse trial.dmap       blocks only as they are used",
                                        run_mkfs, mkfs);
    make.add_option("VOLUME", mkfs->volume, "A file (made if missing) or a device")->required();
    make.add_option("--size", mkfs->size, "Of the volume (default: as large as what is there)");
    make.add_option("--journal", mkfs->journal, "Of the journal (default: 1/64 of the volume, 1M to 64M)");
    make.add_flag("--sparse", mkfs->sparse, "Allocate no blocks now: a full host disk is then an I/O error in use");
    make.add_flag("--force", mkfs->force, "Even where a volume or other content is found");

    PathArguments* check = nullptr;
    CLI::App& prove = add<PathArguments>(
        "check", "Prove a volume that nobody has open for writing; changes nothing.",
        "  dmap check weights.dmap      exit code 0: clean, 1: findings, 2: could not look", run_check, check);
    prove.add_option("VOLUME", check->paths)->required()->expected(1);
  }

  CLI::App& add_copy(const char* name, const char* what, const char* examples, int (*function)(const CopyArguments&),
                     CopyArguments*& arguments) {
    CLI::App& command = add<CopyArguments>(name, what, examples, function, arguments);
    command.add_option("PATH", arguments->sources, "SOURCE... DESTINATION")->required()->expected(2, -1);
    return command;
  }

  void add_copying() {
    CopyArguments* copy = nullptr;
    add_copy("put",
             "Copy files and whole trees from the host into a volume.\n"
             "Keeps modes, owners, times, links, extended attributes, device nodes and holes. A directory that exists\n"
             "takes the source under its own name; any other destination becomes that name. A file that exists is\n"
             "replaced when its replacement is complete.",
             "  dmap put ~/models weights.dmap:/                 becomes weights.dmap:/models\n"
             "  dmap put ~/models/. weights.dmap:/               what is in it, into the root\n"
             "  dmap put a.bin b.bin weights.dmap:/models        into a directory that exists\n"
             "  dmap put a.bin weights.dmap:/models/c.bin        under another name",
             run_put, copy);
    add_copy("get",
             "Copy files and whole trees from a volume to the host.\n"
             "Keeps what put keeps (owners if you are root). The destination works as with put.",
             "  dmap get weights.dmap:/models .                  becomes ./models\n"
             "  dmap get weights.dmap:/models/a.bin copy.bin     under another name\n"
             "  dmap get weights.dmap:/a weights.dmap:/b dir     into a directory that exists",
             run_get, copy);
    CLI::App& within = add_copy("cp", "Copy within a volume, or from one volume to another; keeps what put keeps.",
                                "  dmap cp weights.dmap:/a.bin weights.dmap:/b.bin\n"
                                "  dmap cp -r weights.dmap:/models backup.dmap:/",
                                run_cp, copy);
    within.add_flag("-r,-R,--recursive", copy->recursive, "Directories with all that is in them");
    add_copy("mv", "Rename within a volume; in one step, for crashes too.",
             "  dmap mv weights.dmap:/a.bin weights.dmap:/b.bin\n"
             "  dmap mv weights.dmap:/a.bin weights.dmap:/c.bin weights.dmap:/models",
             run_mv, copy);
  }

  void add_showing() {
    ListArguments* list = nullptr;
    CLI::App& ls =
        add<ListArguments>("ls", "List directories.",
                           "  dmap ls weights.dmap:/\n"
                           "  dmap ls -lR weights.dmap:/models                 with attributes, and all below",
                           run_ls, list);
    add_paths(ls, list->paths, "VOLUME:/path", "What to list");
    ls.add_flag("-l", list->is_long, "Mode, links, owner, group, size, time");
    ls.add_flag("-R", list->recursive, "And all directories below");
    ls.add_flag("-a", list->all, "Names that begin with a dot, too");

    PathArguments* paths = nullptr;
    CLI::App& cat = add<PathArguments>("cat", "Write files to standard output, read in place.",
                                       "  dmap cat weights.dmap:/models/config.json | jq .", run_cat, paths);
    add_paths(cat, paths->paths, "VOLUME:/path", "Regular files");
    CLI::App& stat = add<PathArguments>("stat", "Show all that is known of an object, or of a volume and its medium.",
                                        "  dmap stat weights.dmap                           medium, promise, usage\n"
                                        "  dmap stat weights.dmap:/models/a.bin",
                                        run_stat, paths);
    add_paths(stat, paths->paths, "VOLUME[:/path]", "Volumes, or objects in them");

    UsageArguments* usage = nullptr;
    CLI::App& df = add<UsageArguments>("df", "Show how full volumes are.", "  dmap df weights.dmap", run_df, usage);
    add_paths(df, usage->paths, "VOLUME", "Volumes");
    df.add_flag("-b,--bytes", usage->bytes, "Plain bytes, for programs");
    CLI::App& du = add<UsageArguments>("du", "Show what trees take, hard links counted once.",
                                       "  dmap du weights.dmap:/                           each directory\n"
                                       "  dmap du -s weights.dmap:/models                  the sum",
                                       run_du, usage);
    add_paths(du, usage->paths, "VOLUME:/path", "Directories or files");
    du.add_flag("-s,--summarize", usage->summarize, "The sum only");
    du.add_flag("-b,--bytes", usage->bytes, "Plain bytes, for programs");
  }

  void add_names() {
    RemoveArguments* remove = nullptr;
    CLI::App& rm = add<RemoveArguments>("rm", "Remove files and trees; works on a full volume.",
                                        "  dmap rm weights.dmap:/models/a.bin\n"
                                        "  dmap rm -r weights.dmap:/models",
                                        run_rm, remove);
    add_paths(rm, remove->paths, "VOLUME:/path", "What to remove");
    rm.add_flag("-r,-R,--recursive", remove->recursive, "Directories with all that is in them");
    rm.add_flag("-f,--force", remove->force, "What is not there is no failure");

    MkdirArguments* mkdir = nullptr;
    CLI::App& make = add<MkdirArguments>("mkdir", "Make directories.", "  dmap mkdir -p weights.dmap:/models/2026",
                                         run_mkdir, mkdir);
    add_paths(make, mkdir->paths, "VOLUME:/path", "Directories to make");
    make.add_flag("-p,--parents", mkdir->parents, "Those above it too; one that is there is no failure");

    LinkArguments* link = nullptr;
    CLI::App& ln = add<LinkArguments>("ln", "Give a file a second name, or make a symbolic link.",
                                      "  dmap ln weights.dmap:/a.bin weights.dmap:/b.bin\n"
                                      "  dmap ln -s ../a.bin weights.dmap:/models/a.bin   the link holds ../a.bin",
                                      run_ln, link);
    ln.add_option("TARGET", link->target, "VOLUME:/path; with -s any text")->required();
    ln.add_option("NAME", link->name, "VOLUME:/path of the new name")->required();
    ln.add_flag("-s,--symbolic", link->symbolic, "A symbolic link");
  }

  CLI::App app_;
  std::function<int()> run_;
};

}  // namespace

int run(int argc, char** argv) { return CommandLine().run(argc, argv); }

}  // namespace dmap::cli
