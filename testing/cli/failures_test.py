# SPDX-License-Identifier: Apache-2.0
"""What the world does wrong: missing and unreadable things, full volumes, things in the way, damage."""
import os
import subprocess

import cli


class Missing(cli.VolumeTest):
    def test_a_volume_that_is_not_there_is_named(self):
        none = self.path("none.dmap")
        for arguments in (("ls", none + ":/"), ("put", "/etc/hostname", none + ":/"), ("get", none + ":/a", self.path("a")),
                          ("df", none), ("stat", none), ("du", none + ":/"), ("rm", none + ":/a"),
                          ("mkdir", none + ":/a"), ("cp", none + ":/a", none + ":/b"), ("mv", none + ":/a", none + ":/b"),
                          ("cat", none + ":/a"), ("ln", "-s", "x", none + ":/a")):
            self.fails(1, *arguments, says=["dmap: " + arguments[0], "none.dmap", "not_found"])
            self.assertFalse(os.path.exists(none))
        self.fails(2, "check", none, says=["dmap: check " + none, "not_found"])

    def test_what_is_no_volume_is_foreign(self):
        other = self.write("other", b"something else" * 100000)
        self.fails(1, "ls", other + ":/", says="foreign")
        self.fails(2, "check", other, says="foreign")
        self.fails(1, "mkfs", "--size", "32M", other, says=["exists", "--force"])
        self.dmap("mkfs", "--size", "32M", "--force", "--sparse", other)
        self.dmap("check", other)

    def test_mkfs_spares_a_volume_that_is_there(self):
        self.dmap("mkdir", self.at("/kept"))
        self.fails(1, "mkfs", "--size", "64M", self.volume, says=["exists", "--force"])
        self.assertEqual(self.names("/"), ["kept"])

    def test_a_missing_source_is_told_and_the_others_are_copied(self):
        good = self.write("good", b"1")
        self.fails(1, "put", self.path("none"), good, self.at("/"), says="dmap: put " + self.path("none") + ": not_found")
        self.assertEqual(self.names("/"), ["good"])
        os.mkdir(self.path("out"))
        self.fails(1, "get", self.at("/none"), self.at("/good"), self.path("out"), says="/none: not_found")
        self.assertEqual(os.listdir(self.path("out")), ["good"])

    def test_a_missing_parent_at_the_destination_is_told(self):
        good = self.write("good", b"1")
        self.fails(1, "put", good, self.at("/no/such"), says="not_found")
        self.fails(1, "put", good, self.at("/new/"), says="not_a_directory")
        self.fails(1, "put", good, good, self.at("/new"), says="not_a_directory")
        self.dmap("put", good, self.at("/"))
        self.fails(1, "get", self.at("/good"), self.path("no", "such"), says="not_found")


class Sources(cli.VolumeTest):
    def test_a_file_that_cannot_be_read_is_left_out_and_the_rest_is_copied(self):
        good = self.write("good", b"1")
        self.fails(1, "put", "/proc/self/mem", good, self.at("/"), says="dmap: put /proc/self/mem: io")
        self.assertEqual(self.names("/"), ["good"])
        self.check_is_clean()

    def test_a_file_without_a_size_is_read_to_its_end(self):
        self.dmap("put", "/proc/version", self.at("/"))
        with open("/proc/version", "rb") as file:
            self.assertEqual(self.dmap("cat", self.at("/version")), file.read())

    def test_the_volume_itself_is_neither_put_nor_replaced(self):
        self.write("good", b"1")
        message = self.fails(1, "put", self.folder.name + "/.", self.at("/"), says="volume itself")
        self.assertEqual(message.count("\n"), 1)
        self.assertEqual(self.names("/"), ["good"])
        self.fails(1, "get", self.at("/good"), self.volume, says="volume itself")
        self.check_is_clean()


class InTheWay(cli.VolumeTest):
    def setUp(self):
        super().setUp()
        self.write("a/x/f", b"f")
        self.write("a/y", b"y")
        self.write("b/x", b"x")
        self.write("b/y/g", b"g")
        self.write("b/z", b"z")

    def test_put_never_lets_a_file_and_a_directory_take_each_others_place(self):
        self.dmap("put", self.path("a") + "/.", self.at("/"))
        self.fails(1, "put", self.path("b") + "/.", self.at("/"), says=["/x: is_a_directory", "/y: not_a_directory"])
        self.assertEqual(self.names("/"), ["x", "y", "z"])
        self.assertEqual(self.dmap("cat", self.at("/x/f"), self.at("/y")), b"fy")
        self.check_is_clean()

    def test_get_never_lets_a_file_and_a_directory_take_each_others_place(self):
        self.dmap("put", self.path("b") + "/.", self.at("/"))
        self.fails(1, "get", self.at("/."), self.path("a"), says=["/x: is_a_directory", "/y: not_a_directory"])
        self.assertEqual(sorted(os.listdir(self.path("a"))), ["x", "y", "z"])

    def test_get_does_not_replace_a_device(self):
        self.dmap("put", self.path("b/z"), self.at("/"))
        os.mkfifo(self.path("pipe"))
        self.fails(1, "get", self.at("/z"), self.path("pipe"), says=["exists", "dmap cat"])

    def test_get_replaces_links_and_does_not_write_through_them(self):
        self.dmap("put", self.path("b/z"), self.at("/"))
        os.symlink("y", self.path("a/z"))
        self.dmap("get", self.at("/z"), self.path("a"))
        self.assertFalse(os.path.islink(self.path("a/z")))
        with open(self.path("a/y"), "rb") as file:
            self.assertEqual(file.read(), b"y")


class Full(cli.VolumeTest):
    size = "32M"

    def test_a_full_volume_stops_the_put_and_keeps_what_was_complete(self):
        self.write("old", b"as it was" * 1000)
        self.dmap("put", self.path("old"), self.at("/"))
        content = {}
        for i in range(60):
            content[f"{i:02}"] = os.urandom(1 << 20)
            self.write(f"tree/{i:02}", content[f"{i:02}"])
        self.fails(1, "put", self.path("tree"), self.at("/"),
                   says=["dmap: put " + self.path("tree/"), "no_space", "free of", "dmap rm"])
        kept = self.names("/tree")
        self.assertTrue(0 < len(kept) < 60, kept)
        for name in kept:
            self.assertEqual(self.dmap("cat", self.at("/tree/" + name)), content[name])
        self.check_is_clean()

        # What is there stays whole when its replacement does not fit.
        self.write("old", os.urandom(40 << 20))
        self.fails(1, "put", self.path("old"), self.at("/"), says="no_space")
        self.assertEqual(self.dmap("cat", self.at("/old")), b"as it was" * 1000)
        self.assertEqual(self.names("/"), ["old", "tree"])

        self.dmap("rm", "-r", self.at("/tree"))
        self.check_is_clean()
        self.dmap("put", self.path("tree/00"), self.at("/"))
        self.assertEqual(self.dmap("cat", self.at("/00")), content["00"])

    def test_a_full_host_stops_the_get_and_leaves_no_part(self):
        self.dmap("put", self.write("big", os.urandom(8 << 20)), self.at("/"))
        os.mkdir(self.path("small"))
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4M", "tmpfs", self.path("small")],
                                 capture_output=True, check=False)
        if mounted.returncode != 0:
            self.skipTest("no right to mount")
        try:
            self.fails(1, "get", self.at("/big"), self.path("small"), says="no_space")
            self.assertEqual(os.listdir(self.path("small")), [])
        finally:
            subprocess.run(["umount", self.path("small")], check=True)


class Held(cli.VolumeTest):
    def test_a_volume_in_use_is_busy_for_writers(self):
        self.dmap("put", self.write("big", b"x" * (8 << 20)), self.at("/"))
        reader = subprocess.Popen([cli.DMAP, "cat", self.at("/big")], stdout=subprocess.PIPE)
        self.addCleanup(reader.kill)
        self.assertEqual(reader.stdout.read(1), b"x")  # the rest does not fit into the pipe
        self.fails(1, "mkdir", self.at("/a"), says=["dmap: mkdir", "busy"])
        self.dmap("ls", self.at("/"))
        self.assertEqual(len(reader.stdout.read()), (8 << 20) - 1)
        reader.stdout.close()
        self.assertEqual(reader.wait(), 0)
        self.dmap("mkdir", self.at("/a"))


class Damaged(cli.VolumeTest):
    def test_check_finds_damage_and_nothing_crashes_on_it(self):
        for i in range(300):
            self.write(f"tree/needle-in-the-tree-{i}", b"n")
        self.dmap("put", self.path("tree"), self.at("/"))
        with open(self.volume, "r+b") as file:
            image = file.read()
            place = image.find(b"needle-in-the-tree-")
            self.assertNotEqual(place, -1)
            while place != -1:
                file.seek(place)
                file.write(b"N")
                place = image.find(b"needle-in-the-tree-", place + 1)
        done = self.run_dmap("check", self.volume)
        self.assertIn(done.returncode, (1, 2), done)
        self.assertIn(b"pfn" if done.returncode == 1 else b"corrupt", done.stdout + done.stderr)
        for arguments in (("ls", "-lR", self.at("/")), ("get", self.at("/"), self.path("back")),
                          ("rm", "-r", self.at("/tree"))):
            self.fails(1, *arguments, says="corrupt")


cli.main()
