# SPDX-License-Identifier: Apache-2.0
"""What the tests of the command share: a program to run, a volume to run it on, and a walk that trusts nothing."""
import hashlib
import os
import stat
import subprocess
import sys
import tempfile
import unittest

DMAP = ""


class VolumeTest(unittest.TestCase):
    """Has a directory that vanishes, and a new volume in it."""

    size = "64M"

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="dmap-cli-")
        self.addCleanup(self.folder.cleanup)
        self.volume = self.path("v.dmap")
        self.dmap("mkfs", "--size", self.size, "--sparse", self.volume)

    def path(self, *names):
        return os.path.join(self.folder.name, *names)

    def write(self, name, content=b""):
        """A file on the host below the test's directory; returns its path."""
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
        return path

    def at(self, path):
        return self.volume + ":" + path

    def run_dmap(self, *arguments, **options):
        return subprocess.run([DMAP, *arguments], capture_output=True, timeout=120, **options)

    def dmap(self, *arguments):
        """Runs a command that must succeed without a word on standard error; returns its output."""
        done = self.run_dmap(*arguments)
        self.assertEqual((done.returncode, done.stderr.decode(errors="replace")), (0, ""), arguments)
        return done.stdout

    def fails(self, code, *arguments, says=()):
        """Runs a command that must fail with this exit code and all these words; returns its messages."""
        done = self.run_dmap(*arguments)
        message = done.stderr.decode(errors="replace")
        self.assertEqual(done.returncode, code, (arguments, message))
        for words in [says] if isinstance(says, str) else says:
            self.assertIn(words, message)
        return message

    def names(self, path):
        return self.dmap("ls", "-a", self.at(path)).decode(errors="surrogateescape").splitlines()[2:]

    def check_is_clean(self):
        self.assertIn(b"no findings", self.dmap("check", self.volume))


def data_ranges(path):
    """Where a host file has data, as the file system tells it."""
    ranges = []
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        offset = 0
        while offset < size:
            try:
                begin = os.lseek(file.fileno(), offset, os.SEEK_DATA)
            except OSError:
                break
            offset = os.lseek(file.fileno(), begin, os.SEEK_HOLE)
            ranges.append((begin, offset))
    return ranges


def describe(path):
    """All that must be kept of one object."""
    status = os.lstat(path)
    kind = stat.S_IFMT(status.st_mode)
    facts = {
        "kind": kind,
        "uid": status.st_uid,
        "gid": status.st_gid,
        "modified": status.st_mtime_ns,
        "xattrs": {name: os.getxattr(path, name, follow_symlinks=False)
                   for name in os.listxattr(path, follow_symlinks=False)},
    }
    if kind == stat.S_IFLNK:
        facts["target"] = os.readlink(path)
        return facts
    facts["permissions"] = stat.S_IMODE(status.st_mode)
    if kind in (stat.S_IFCHR, stat.S_IFBLK):
        facts["device"] = status.st_rdev
    if kind == stat.S_IFREG:
        facts["accessed"] = status.st_atime_ns
        facts["ranges"] = data_ranges(path)
        with open(path, "rb") as file:
            facts["content"] = hashlib.sha256(file.read()).hexdigest()
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    return facts


def walk(root):
    """A tree as {path: facts}, with each hard-linked object named by the first of its names."""
    root = os.fsencode(root)
    found = {}
    first_names = {}
    waiting = [b""]
    while waiting:
        name = waiting.pop()
        path = os.path.join(root, name) if name else root
        facts = describe(path)
        found[name] = facts
        if facts["kind"] == stat.S_IFDIR:
            waiting += sorted((os.path.join(name, entry) for entry in os.listdir(path)), reverse=True)
            continue
        status = os.lstat(path)
        facts["same as"] = first_names.setdefault((status.st_dev, status.st_ino), name)
    return found


def main():
    global DMAP
    if len(sys.argv) < 2:
        sys.exit("usage: " + sys.argv[0] + " DMAP [TEST...]")
    sys.modules["cli"].DMAP = os.path.abspath(sys.argv.pop(1))
    unittest.main(module="__main__")
