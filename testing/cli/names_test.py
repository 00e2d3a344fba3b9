# SPDX-License-Identifier: Apache-2.0
"""Commands about names: ls, mkdir, mv, ln, rm, stat, df, du, cat."""
import os
import re

import cli


class Directories(cli.VolumeTest):
    def test_mkdir_makes_one_directory_and_with_p_all_above_it(self):
        self.dmap("mkdir", self.at("/a"))
        self.fails(1, "mkdir", self.at("/a"), says=["dmap: mkdir", "/a: exists"])
        self.fails(1, "mkdir", self.at("/b/c"), says=["not_found", "mkdir -p"])
        self.dmap("mkdir", "-p", self.at("/b/c/d"), self.at("/a"), self.at("//b///e/"))
        self.assertEqual(self.names("/b"), ["c", "e"])

    def test_mkdir_p_does_not_take_a_file_for_a_directory(self):
        self.dmap("put", self.write("f"), self.at("/"))
        self.fails(1, "mkdir", "-p", self.at("/f"), says="not_a_directory")
        self.fails(1, "mkdir", "-p", self.at("/f/g"), says="not_a_directory")

    def test_ls_sorts_hides_dots_and_walks_down(self):
        for name in ("tree/b", "tree/a/.hidden", "tree/a/x", "tree/.dot"):
            self.write(name)
        self.dmap("put", self.path("tree"), self.at("/"))
        self.assertEqual(self.dmap("ls", self.at("/tree")), b"a\nb\n")
        self.assertEqual(self.dmap("ls", "-a", self.at("/tree")), b".\n..\n.dot\na\nb\n")
        self.assertEqual(self.dmap("ls", self.at("/tree/b")), b"/tree/b\n")
        listing = self.dmap("ls", "-R", self.at("/")).decode()
        self.assertEqual(listing, f"{self.at('/')}:\ntree\n\n{self.at('/tree')}:\na\nb\n\n{self.at('/tree/a')}:\nx\n")

    def test_ls_l_looks_like_that_of_coreutils(self):
        self.write("tree/file", b"12345")
        os.chmod(self.path("tree/file"), 0o4751)
        os.symlink("file", self.path("tree/link"))
        os.utime(self.path("tree/file"), ns=(0, 1_000_000_000 * 86400 * 200))
        self.dmap("put", self.path("tree"), self.at("/"))
        lines = self.dmap("ls", "-l", self.at("/tree")).decode().splitlines()
        self.assertRegex(lines[0], r"^total \d+$")
        self.assertRegex(lines[1], r"^-rwsr-x--x +1 \S+ +\S+ +5 Jul 2\d  1970 file$")
        self.assertRegex(lines[2], r"^lrwxrwxrwx +1 \S+ +\S+ +4 \w{3} [ \d]\d +[\d:]{4,5} link -> file$")

    def test_ls_of_what_is_not_there_fails_and_goes_on(self):
        self.dmap("mkdir", self.at("/a"), self.at("/a/b"))
        done = self.run_dmap("ls", self.at("/none"), self.at("/a"))
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"b\n", done.stdout)
        self.assertIn(b"/none: not_found", done.stderr)


class Names(cli.VolumeTest):
    def setUp(self):
        super().setUp()
        for name in ("tree/a", "tree/b", "tree/sub/c"):
            self.write(name, name.encode())
        self.dmap("put", self.path("tree"), self.at("/"))

    def test_mv_renames_and_moves_into_directories(self):
        self.dmap("mv", self.at("/tree/a"), self.at("/tree/z"))
        self.dmap("mv", self.at("/tree/z"), self.at("/tree/b"), self.at("/tree/sub"))
        self.assertEqual(self.names("/tree/sub"), ["b", "c", "z"])
        self.assertEqual(self.dmap("cat", self.at("/tree/sub/z")), b"tree/a")
        self.dmap("mv", self.at("/tree/sub"), self.at("/moved"))
        self.assertEqual(self.names("/"), ["moved", "tree"])

    def test_mv_says_what_it_cannot_do(self):
        self.fails(1, "mv", self.at("/none"), self.at("/x"), says="/none: not_found")
        self.fails(1, "mv", self.at("/tree"), self.at("/tree/sub"), says="invalid")
        self.fails(1, "mv", self.at("/tree/a"), self.at("/tree/b"), self.at("/tree/none"), says="not_a_directory")
        self.fails(1, "mv", self.at("/tree/a"), self.at("/tree/new/"), says="not_a_directory")
        self.fails(2, "mv", self.at("/tree/a"), self.path("other.dmap") + ":/a", says="one volume")

    def test_ln_gives_second_names_and_symbolic_links(self):
        self.dmap("ln", self.at("/tree/a"), self.at("/hard"))
        self.dmap("ln", "-s", "tree/a", self.at("/soft"))
        self.dmap("ln", "-s", "nowhere", self.at("/tree"))
        self.assertEqual(self.dmap("cat", self.at("/hard"), self.at("/soft")), b"tree/atree/a")
        self.assertRegex(self.dmap("stat", self.at("/hard")).decode(), r"links +2\n")
        self.assertIn(b"nowhere -> nowhere", self.dmap("ls", "-l", self.at("/tree/nowhere")))
        self.fails(1, "ln", self.at("/tree/a"), self.at("/hard"), says="exists")
        self.fails(1, "ln", self.at("/tree"), self.at("/dir"), says="is_a_directory")
        self.fails(2, "ln", "/tree/a", self.at("/x"), says="VOLUME:/path")
        self.check_is_clean()

    def test_rm_removes_names_and_trees(self):
        self.fails(1, "rm", self.at("/tree"), says=["is_a_directory", "rm -r"])
        self.fails(1, "rm", self.at("/none"), says="not_found")
        self.fails(1, "rm", "-rf", self.at("/"), says="invalid")
        self.dmap("rm", "-f", self.at("/none"), self.at("/none/below"))
        self.dmap("rm", self.at("/tree/a"))
        self.dmap("ln", "-s", "/tree", self.at("/link"))
        self.dmap("rm", "-r", self.at("/link"))
        self.assertEqual(self.names("/tree"), ["b", "sub"])
        self.dmap("rm", "-r", self.at("/tree"))
        self.assertEqual(self.names("/"), [])
        self.check_is_clean()

    def test_cat_writes_files_one_after_the_other(self):
        big = os.urandom((9 << 20) + 17)
        self.dmap("put", self.write("big", big), self.at("/"))
        self.assertEqual(self.dmap("cat", self.at("/tree/a"), self.at("/big")), b"tree/a" + big)
        self.fails(1, "cat", self.at("/tree"), says="is_a_directory")

    def test_stat_shows_objects_and_volumes(self):
        shown = self.dmap("stat", self.at("/tree/a")).decode()
        self.assertRegex(shown, r"type +regular file\n")
        self.assertRegex(shown, r"size +6 bytes")
        modified = os.stat(self.path("tree/a")).st_mtime_ns
        self.assertIn(f".{modified % 10**9:09} ", shown)
        shown = self.dmap("stat", self.volume).decode()
        for fact in ("uuid +[0-9a-f]{32}", "medium +file", "promise +\\S", "page size", "journal", "inodes"):
            self.assertRegex(shown, fact)

    def test_df_and_du_add_up(self):
        self.dmap("put", self.write("big", b"x" * (1 << 20)), self.at("/tree"))
        self.dmap("ln", self.at("/tree/big"), self.at("/tree/sub/again"))
        lines = self.dmap("du", "-b", self.at("/tree")).decode().splitlines()
        sizes = {path: int(size) for size, path in (line.split("\t") for line in lines)}
        self.assertEqual(list(sizes)[-1], self.at("/tree"))
        self.assertGreaterEqual(sizes[self.at("/tree")], 1 << 20)
        self.assertLess(sizes[self.at("/tree")], 2 << 20)
        self.assertEqual(self.dmap("du", "-sb", self.at("/tree")).decode(), lines[-1] + "\n")
        row = self.dmap("df", "-b", self.volume).decode().splitlines()[1].split()
        size, files, free = (int(number) for number in row[:3])
        self.assertEqual(size, 64 << 20)
        self.assertGreaterEqual(files, 1 << 20)
        self.assertLess(free, size - files)


cli.main()
