# SPDX-License-Identifier: Apache-2.0
"""Arguments: sizes, places, usage, help."""
import os
import pty
import re
import subprocess

import cli


class Sizes(cli.VolumeTest):
    def size_of(self, text):
        volume = self.path("sized.dmap")
        self.dmap("mkfs", "--force", "--sparse", "--size", text, volume)
        return os.stat(volume).st_size

    def test_units_are_binary_unless_they_say_decimal(self):
        for text, size in (("64M", 64 << 20), ("64m", 64 << 20), ("64MiB", 64 << 20), ("65536K", 64 << 20),
                           (str(64 << 20), 64 << 20), (str(64 << 20) + "B", 64 << 20), ("1G", 1 << 30),
                           ("1GiB", 1 << 30), ("1T", 1 << 40)):
            self.assertEqual(self.size_of(text), size, text)
        # A decimal size may be cut down to what frames can fill.
        self.assertTrue(10**9 - (2 << 20) <= self.size_of("1GB") <= 10**9)

    def test_what_is_no_size_is_a_usage_error(self):
        for text in ("", "M", "64X", "64MiBs", "6 4M", "-1M", "1.5G", "0x40", "64iB", "99999999999999999999", "16384P",
                     "18446744073709551615K"):
            done = self.run_dmap("mkfs", "--size=" + text, self.path("none.dmap"))
            self.assertEqual(done.returncode, 2, text)
            self.assertIn(b"dmap", done.stderr)
            self.assertFalse(os.path.exists(self.path("none.dmap")), text)

    def test_a_bad_size_says_how_to_write_it(self):
        self.fails(2, "mkfs", "--size", "64X", self.path("none.dmap"), says=["64X", "invalid", "64MiB"])

    def test_a_new_file_needs_a_size(self):
        self.fails(2, "mkfs", self.path("none.dmap"), says="--size")


class Usage(cli.VolumeTest):
    def test_no_command_and_unknown_commands_and_options_are_usage_errors(self):
        for arguments in ((), ("fly",), ("ls",), ("put", self.at("/")), ("ls", "--fly", self.at("/")),
                          ("check", self.volume, self.volume), ("ln", self.at("/a"))):
            self.fails(2, *arguments, says="--help")

    def test_a_path_without_a_volume_is_a_usage_error(self):
        for arguments in (("ls", "/etc"), ("put", "/etc/hostname", "/tmp"), ("get", "/etc/hostname", "/tmp"),
                          ("cat", self.volume), ("rm", ":/x"), ("mv", self.at("/a"), "/b"), ("cp", "/a", self.at("/b")),
                          ("mkdir", self.volume + ":relative")):
            self.fails(2, *arguments, says="VOLUME:/path")

    def test_every_command_has_help_with_examples(self):
        overview = self.dmap("--help").decode()
        for command in ("mkfs ls put get cat cp mv rm mkdir ln stat df du check").split():
            self.assertRegex(overview, r"(?m)^  " + command + r"\b")
            text = self.dmap(command, "--help").decode()
            self.assertIn("Examples:\n  dmap " + command, text)

    def test_there_is_a_version(self):
        self.assertRegex(self.dmap("--version").decode(), r"^dmap \d+\.\d+")


class Places(cli.VolumeTest):
    def test_a_volume_may_hold_the_separator_in_its_own_path(self):
        os.makedirs(self.path("odd:", "more:"))
        volume = self.path("odd:", "more:", "v:.dmap")
        self.dmap("mkfs", "--size", "32M", "--sparse", volume)
        self.dmap("mkdir", volume + ":/a:")
        self.dmap("mkdir", volume + ":/a:/b")
        self.assertEqual(self.dmap("ls", volume + ":/a:"), b"b\n")

    def test_names_that_look_like_options_lists_and_commands_are_names(self):
        for name in ("[a,b]", "ls", "put", "%%", "a=b", "--", "{x}", "-l"):
            self.write("in/" + name, name.encode())
        self.addCleanup(os.chdir, "/")
        os.chdir(self.path("in"))
        self.dmap("put", "[a,b]", "ls", "put", "%%", "a=b", "{x}", self.at("/"))
        self.dmap("put", "--", "--", "-l", self.at("/"))
        self.assertEqual(self.names("/"), sorted(os.listdir(self.path("in"))))
        for name in os.listdir(self.path("in")):
            self.assertEqual(self.dmap("cat", self.at("/" + name)), name.encode())

    def test_names_that_could_drive_a_terminal_are_quoted_on_one(self):
        self.write("in/a\x1b[2Jb\n'c'", b"")
        self.dmap("put", self.path("in") + "/.", self.at("/"))
        self.assertEqual(self.dmap("ls", self.at("/")), b"a\x1b[2Jb\n'c'\n")
        outer, inner = pty.openpty()
        subprocess.run([cli.DMAP, "ls", self.at("/")], stdout=inner, check=True)
        os.close(inner)
        self.assertEqual(os.read(outer, 4096).strip(), rb"$'a\x1b[2Jb\n\'c\''")
        os.close(outer)

    def test_messages_carry_no_control_characters(self):
        message = self.fails(1, "ls", self.at("/\x1b[2J\nx"), says="not_found")
        self.assertNotIn("\x1b", message)
        self.assertEqual(message.count("\n"), 1)


class ProgressLine(cli.VolumeTest):
    def put_on(self, **options):
        source = self.write("big", os.urandom(1 << 20) * 24)
        return subprocess.Popen([cli.DMAP, "put", source, self.at("/")], **options)

    def test_it_is_shown_on_a_terminal_only_and_leaves_nothing_behind(self):
        process = self.put_on(stderr=subprocess.PIPE)
        self.assertEqual(process.communicate()[1], b"")
        outer, inner = pty.openpty()
        process = self.put_on(stderr=inner)
        os.close(inner)
        shown = b""
        try:
            while part := os.read(outer, 4096):
                shown += part
        except OSError:  # the other end is gone
            pass
        os.close(outer)
        self.assertEqual(process.wait(), 0)
        # A fast machine may be done before the first line is due.
        if shown:
            self.assertTrue(shown.endswith(b"\r\x1b[K"))
            self.assertRegex(shown, re.compile(rb"put  .*MB/s"))


cli.main()
