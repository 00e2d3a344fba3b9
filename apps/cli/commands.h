// SPDX-License-Identifier: Apache-2.0
//
// The commands: what each is given, and a function that does it and returns the exit code.
#ifndef DMAP_CLI_COMMANDS_H_
#define DMAP_CLI_COMMANDS_H_

#include <string>
#include <vector>

namespace dmap::cli {

struct MkfsArguments {
  std::string volume;
  std::string size;     ///< empty: as large as what is there
  std::string journal;  ///< empty: the library's choice
  bool sparse = false;
  bool force = false;
};
int run_mkfs(const MkfsArguments& arguments);

struct CopyArguments {
  std::vector<std::string> sources;
  std::string destination;
  bool recursive = false;  ///< cp only: put and get always are
};
int run_put(const CopyArguments& arguments);
int run_get(const CopyArguments& arguments);
int run_cp(const CopyArguments& arguments);
int run_mv(const CopyArguments& arguments);

struct ListArguments {
  std::vector<std::string> paths;
  bool is_long = false;
  bool recursive = false;
  bool all = false;
};
int run_ls(const ListArguments& arguments);

struct PathArguments {
  std::vector<std::string> paths;
};
int run_cat(const PathArguments& arguments);
int run_stat(const PathArguments& arguments);
int run_check(const PathArguments& arguments);

struct UsageArguments {
  std::vector<std::string> paths;
  bool summarize = false;  ///< du only
  bool bytes = false;
};
int run_df(const UsageArguments& arguments);
int run_du(const UsageArguments& arguments);

struct RemoveArguments {
  std::vector<std::string> paths;
  bool recursive = false;
  bool force = false;
};
int run_rm(const RemoveArguments& arguments);

struct MkdirArguments {
  std::vector<std::string> paths;
  bool parents = false;
};
int run_mkdir(const MkdirArguments& arguments);

struct LinkArguments {
  std::string target;
  std::string name;
  bool symbolic = false;
};
int run_ln(const LinkArguments& arguments);

}  // namespace dmap::cli

#endif  // DMAP_CLI_COMMANDS_H_
