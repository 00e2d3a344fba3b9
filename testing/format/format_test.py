#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A reader that knows docs/format.md alone must find in a volume's bytes what dmap's API says the volume holds.

usage: format_test.py MAKE_VOLUMES [unittest's arguments]
"""
import os
import subprocess
import sys
import tempfile
import unittest

import read_volume

MAKE_VOLUMES = ""
OTHER_BOOT = b"another boot, 16"


class FormatTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # On a disk, where the medium has markers to be read; a memory file system has none.
        folder = tempfile.TemporaryDirectory(prefix="dmap-format-", dir="/var/tmp" if os.access("/var/tmp", os.W_OK) else None)
        cls.addClassCleanup(folder.cleanup)
        cls.folder = folder.name
        done = subprocess.run([MAKE_VOLUMES, cls.folder], capture_output=True, text=True, timeout=200)
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        cls.unordered = done.stdout == "written back in any order\n"

    def path(self, name):
        return os.path.join(self.folder, name)

    def read(self, name, boot=None):
        return read_volume.open_volume(self.path(name + ".dmap"), boot)

    def assert_agrees(self, volume, name):
        with open(self.path(name + ".facts"), encoding="ascii") as file:
            self.assertEqual(read_volume.facts(volume), file.read().splitlines())
        contents = self.contents(name)
        for path, found in volume.paths():
            if found.type in (0, 2):
                self.assertTrue(volume.bytes_of(found) == contents[found.number], (name, path))

    def contents(self, name):
        """What the API read, by inode."""
        contents = {}
        with open(self.path(name + ".contents"), "rb") as file:
            while line := file.readline():
                number, size = map(int, line.split())
                contents[number] = file.read(size)
        return contents

    def test_a_new_volume(self):
        volume = self.read("fresh")
        self.assert_agrees(volume, "fresh")
        self.assertEqual((volume.slots, volume.records, len(volume.objects)), ([1, 1], [], 1))

    def test_a_volume_whose_changes_are_all_in_the_journal(self):
        volume = self.read("journal")
        self.assert_agrees(volume, "journal")
        self.assertEqual(volume.generation, 1)
        self.assertEqual(len(volume.orphans), 1)
        self.assertGreater(sum(record.kind == read_volume.OPERATION for record in volume.records), 600)

    def test_a_volume_whose_changes_are_all_in_the_tree(self):
        volume = self.read("checkpoint")
        self.assert_agrees(volume, "checkpoint")
        self.assertFalse([record for record in volume.records if record.kind == read_volume.OPERATION])
        self.assertGreater(volume.height, 1)

    def test_a_volume_with_changes_in_both(self):
        volume = self.read("both")
        self.assert_agrees(volume, "both")
        self.assertTrue([record for record in volume.records if record.kind == read_volume.OPERATION])
        self.assertEqual(set(volume.slots), {volume.generation})

    def test_a_volume_with_a_tail_that_is_freed_bit_by_bit(self):
        self.assert_agrees(self.read("tail"), "tail")

    def test_a_closed_volume_has_nothing_to_replay(self):
        volume = self.read("closed")
        self.assert_agrees(volume, "closed")
        self.assertEqual(volume.records, [])

    def test_free_space_in_many_pieces_is_a_bitmap(self):
        volume = self.read("holes")
        self.assert_agrees(volume, "holes")
        forms = {value[0] for key, value in volume.keys.items() if key[0] == 0 and key[1] >> 56 == read_volume.SPACE}
        self.assertIn(3, forms)

    def test_the_boot_that_wrote_the_journal_counts_all_of_it(self):
        volume = self.read("killed")
        self.assert_agrees(volume, "killed")
        self.assert_agrees(self.read("killed", volume.journal_start.boot), "killed")

    def test_another_boot_counts_the_journal_up_to_its_last_marker(self):
        volume = self.read("power", OTHER_BOOT if self.unordered else None)
        # The background may have set a marker behind the last changes; then they count too.
        all_count = volume.records[-1].counts or volume.records[-1].kind == read_volume.MARKER
        self.assert_agrees(volume, "killed" if all_count or not self.unordered else "power")

    def test_a_volume_of_several_zones(self):
        for name in ("zones", "zones in use"):
            volume = self.read(name)
            self.assert_agrees(volume, name)
        self.assertGreater(len(volume.zones), 1)
        self.assertTrue(any(node >= first for first, _ in volume.zones[1:] for node in volume.used_nodes))

    def test_a_ring_that_wraps(self):
        wraps = 0
        for session in range(4):
            volume = self.read(f"ring{session}")
            self.assert_agrees(volume, f"ring{session}")
            offsets = [record.offset for record in volume.records]
            wraps += any(a > b for a, b in zip(offsets, offsets[1:]))
        self.assertGreater(wraps, 0)

    def test_any_damaged_byte_that_is_read_is_noticed(self):
        """The reader itself must not be blind: bytes of each structure are changed in turn."""
        with open(self.path("closed.dmap"), "rb") as file:
            bytes_ = file.read()
        volume = self.read("closed")
        zone = volume.zones[0][0]
        frames = [(0, 3), (1, 2), *((node,) for node in sorted(volume.used_nodes)[:5])]
        frames += [(zone, zone + 1)]
        for places in frames:
            damaged = bytearray(bytes_)
            for frame in places:
                damaged[frame * 4096 + 77] ^= 4
            with self.assertRaises(read_volume.Damaged, msg=places):
                read_volume.Volume(bytes(damaged))


if __name__ == "__main__":
    MAKE_VOLUMES = sys.argv.pop(1)
    unittest.main()
