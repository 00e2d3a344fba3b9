# SPDX-License-Identifier: Apache-2.0
"""Trees there and back: whatever a tree can hold comes back as it was."""
import os
import random
import socket
import stat
import subprocess

import cli

IS_ROOT = os.geteuid() == 0


def supports_xattrs(folder):
    try:
        os.setxattr(folder, "user.dmap", b"1")
        os.removexattr(folder, "user.dmap")
        return True
    except OSError:
        return False


class RoundTrip(cli.VolumeTest):
    size = "256M"

    def make_tree(self):
        """A tree with everything in it."""
        tree = self.path("tree")
        seed = int.from_bytes(os.urandom(4), "little")
        print("seed", seed)
        source = random.Random(seed)
        for size in (0, 1, 511, 512, 513, 4095, 4096, 4097, 65536, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 5000001):
            self.write(f"tree/sizes/{size}", source.randbytes(size))
        os.makedirs(self.path("tree/empty directory"))
        self.write("tree/" + "n" * 255, b"a long name")
        self.write("tree/" + "\u00e9" * 127, b"a long name in two bytes a letter")
        self.write("tree/line\nbreak \\ 'quotes'", b"")
        with open(os.fsencode(tree) + b"/not\xffutf8", "wb"):
            pass
        for mode in (0o000, 0o400, 0o1777, 0o2755, 0o4755):
            os.chmod(self.write(f"tree/modes/{mode:o}", b"mode"), mode)
        os.chmod(self.path("tree/empty directory"), 0o1750)

        first = self.write("tree/links/first", b"linked")
        os.link(first, self.path("tree/links/second"))
        os.makedirs(self.path("tree/links/sub"))
        os.link(first, self.path("tree/links/sub/third"))
        os.symlink("links/first", self.path("tree/soft"))
        os.symlink("/nowhere/at/all", self.path("tree/dangling"))
        os.symlink("x" * 4000, self.path("tree/long link"))
        os.link(self.path("tree/soft"), self.path("tree/soft too"), follow_symlinks=False)

        os.mkfifo(self.path("tree/fifo"))
        with socket.socket(socket.AF_UNIX) as listener:
            self.addCleanup(os.chdir, "/")
            os.chdir(tree)
            listener.bind("socket")
        if IS_ROOT:
            os.mknod(self.path("tree/null"), stat.S_IFCHR | 0o666, os.makedev(1, 3))
            os.mknod(self.path("tree/block"), stat.S_IFBLK | 0o600, os.makedev(259, 70000))
            os.chown(self.path("tree/links/first"), 1234, 70000)
            os.chown(self.path("tree/soft"), 99, 98, follow_symlinks=False)
            os.chown(self.path("tree/empty directory"), 5, 6)

        with open(self.path("tree/holes"), "wb") as file:
            for place in (1 << 20, 7 << 20, 12 << 20):
                os.pwrite(file.fileno(), source.randbytes(100000), place)
            os.ftruncate(file.fileno(), 40 << 20)
        with open(self.path("tree/all hole"), "wb") as file:
            os.ftruncate(file.fileno(), 10 << 20)

        if supports_xattrs(tree):
            for name in ("sizes/0", "sizes/4096", "links"):
                os.setxattr(self.path("tree", name), "user.one", b"value \0 with zero")
                os.setxattr(self.path("tree", name), "user.two", b"")
            os.setxattr(self.path("tree/sizes/512"), "user.big", source.randbytes(3000))
        for path, _, names in os.walk(os.fsencode(tree), topdown=False):
            for name in names + [b"."]:
                times = (source.randrange(-10**17, 4 * 10**18), source.randrange(-10**17, 4 * 10**18))
                os.utime(os.path.join(path, name), ns=times, follow_symlinks=False)
        return tree

    def assert_same(self, left, right):
        """The same but for the times of last access, which reading the left one changes."""
        left, right = cli.walk(left), cli.walk(right)
        for facts in (*left.values(), *right.values()):
            facts.pop("accessed", None)
        self.assertEqual(sorted(left), sorted(right))
        for name, facts in left.items():
            self.assertEqual(facts, right[name], name)

    def test_everything_comes_back_as_it_was(self):
        tree = self.make_tree()
        before = cli.walk(tree)
        self.dmap("put", tree, self.at("/"))
        self.check_is_clean()
        self.dmap("get", self.at("/tree"), self.path("back"))
        after = cli.walk(self.path("back"))
        self.assertEqual(sorted(before), sorted(after))
        for name, facts in before.items():
            self.assertEqual(facts, after[name], name)

    def test_a_second_put_and_get_replace_what_is_there(self):
        tree = self.make_tree()
        self.dmap("put", tree, self.at("/"))
        self.dmap("get", self.at("/tree"), self.path("back"))
        self.write("tree/sizes/513", b"shorter")
        self.dmap("put", tree, self.at("/"))
        self.dmap("get", self.at("/tree/."), self.path("back"))
        self.assert_same(tree, self.path("back"))
        self.check_is_clean()

    def test_cp_within_and_between_volumes_keeps_everything(self):
        tree = self.make_tree()
        self.dmap("put", tree, self.at("/"))
        self.dmap("cp", "-r", self.at("/tree"), self.at("/copy"))
        other = self.path("other.dmap")
        self.dmap("mkfs", "--size", "256M", "--sparse", other)
        self.dmap("cp", "-r", self.at("/copy"), other + ":/")
        self.dmap("check", other)
        self.dmap("get", other + ":/copy", self.path("back"))
        self.assert_same(tree, self.path("back"))

    def test_holes_take_no_room_in_the_volume(self):
        self.make_tree()
        self.dmap("put", self.path("tree/holes"), self.path("tree/all hole"), self.at("/"))
        size, _ = self.dmap("du", "-b", self.at("/holes")).decode().split("\t")
        self.assertGreaterEqual(int(size), 300000)
        self.assertLess(int(size), 1 << 20)
        self.assertEqual(self.dmap("du", "-b", self.at("/all hole")).decode().split("\t")[0], "0")

    def test_a_tree_deeper_than_any_path_comes_back(self):
        depth = 1500
        # What Python removes at the end must not be that deep.
        for name in ("b", "deep name"):
            self.addCleanup(subprocess.run, ["rm", "-rf", self.path(name)], check=True)
        here = os.open(self.folder.name, os.O_RDONLY)
        for _ in range(depth):
            os.mkdir("deep name", dir_fd=here)
            below = os.open("deep name", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(os.open("bottom", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        os.close(here)
        few = "ulimit -n 64; ulimit -s 512; exec \"$@\""
        for arguments in (("put", self.path("deep name"), self.at("/")), ("get", self.at("/deep name"), self.path("b"))):
            subprocess.run(["bash", "-c", few, "sh", cli.DMAP, *arguments], check=True)
        self.dmap("rm", "-r", self.at("/deep name"))
        found = 0
        here = os.open(self.path("b"), os.O_RDONLY)
        while "deep name" in os.listdir(here):
            below = os.open("deep name", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here, found = below, found + 1
        self.assertEqual((found, os.listdir(here)), (depth - 1, ["bottom"]))
        os.close(here)


class Destinations(cli.VolumeTest):
    """As with cp -a: an existing directory takes the source in, any other destination becomes its name."""

    def setUp(self):
        super().setUp()
        self.write("tree/f", b"f")

    def test_put_into_a_directory_and_to_a_name(self):
        self.dmap("put", self.path("tree"), self.at("/"))
        self.dmap("put", self.path("tree"), self.at("/other"))
        self.dmap("put", self.path("tree/f"), self.at("/other/g"))
        self.dmap("put", self.path("tree") + "/.", self.at("/other/"))
        self.dmap("put", self.path("tree/"), self.at("/third/"))
        self.assertEqual(self.names("/"), ["other", "third", "tree"])
        self.assertEqual(self.names("/other"), ["f", "g"])
        self.assertEqual(self.names("/third"), ["f"])

    def test_get_into_a_directory_and_to_a_name(self):
        self.dmap("put", self.path("tree"), self.at("/"))
        os.mkdir(self.path("out"))
        self.dmap("get", self.at("/tree"), self.path("out"))
        self.dmap("get", self.at("/tree"), self.path("out/name"))
        self.dmap("get", self.at("/tree/f"), self.path("out/g"))
        self.dmap("get", self.at("/"), self.path("all"))
        self.assertEqual(sorted(os.listdir(self.path("out"))), ["g", "name", "tree"])
        self.assertEqual(os.listdir(self.path("out/name")), ["f"])
        self.assertEqual(os.listdir(self.path("all/tree")), ["f"])

    def test_a_relative_destination_is_in_the_working_directory(self):
        self.dmap("put", self.path("tree"), self.at("/"))
        os.mkdir(self.path("cwd"))
        self.addCleanup(os.chdir, "/")
        os.chdir(self.path("cwd"))
        self.dmap("get", self.at("/tree/f"), "g")
        self.dmap("get", self.at("/tree"), ".")
        self.assertEqual(sorted(os.listdir(".")), ["g", "tree"])

    def test_cp_needs_r_for_directories_and_never_copies_into_itself(self):
        self.dmap("put", self.path("tree"), self.at("/"))
        self.fails(1, "cp", self.at("/tree"), self.at("/copy"), says=["is_a_directory", "cp -r"])
        self.fails(1, "cp", "-r", self.at("/tree"), self.at("/tree/below"), says="itself")
        self.fails(1, "cp", "-r", self.at("/"), self.at("/tree"), says="itself")
        self.fails(1, "cp", self.at("/tree/f"), self.at("/tree"), says="the same")
        self.dmap("cp", self.at("/tree/f"), self.at("/tree/g"))
        self.assertEqual(self.names("/tree"), ["f", "g"])


cli.main()
