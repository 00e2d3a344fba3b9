#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A check that finds nothing proves nothing: here each rule is broken on purpose, in a small tree, and must be named."""
import tempfile
import unittest
from pathlib import Path

from check_layers import LINES_MAX, Tree

LICENCE = "// SPDX-License-Identifier: Apache-2.0\n"


def header(guard, body=""):
    return f"{LICENCE}#ifndef {guard}\n#define {guard}\n{body}\n#endif  // {guard}\n"


# A tree that obeys every rule.
CLEAN = {
    "include/dmap/types.h": header("DMAP_TYPES_H_", "#include <cstdint>"),
    "include/dmap/result.h": header("DMAP_RESULT_H_", '#include <expected>\n#include "dmap/types.h"'),
    "include/dmap/volume.h": header("DMAP_VOLUME_H_", '#include "dmap/result.h"'),
    "src/base/check.h": header("DMAP_BASE_CHECK_H_", '#include "dmap/result.h"'),
    "src/device/device.h": header("DMAP_DEVICE_DEVICE_H_", '#include <sys/mman.h>\n#include "base/check.h"'),
    "src/frame/page.h": header("DMAP_FRAME_PAGE_H_", '#include <isa-l/crc.h>\n#include "base/check.h"'),
    "src/extent/map.h": header("DMAP_EXTENT_MAP_H_", '#include "frame/page.h"'),
    "src/journal/journal.h": header("DMAP_JOURNAL_JOURNAL_H_", '#include "device/device.h"'),
    "src/volume/volume.cc": LICENCE + '#include "dmap/volume.h"\n#include "journal/journal.h"\n#include "extent/map.h"\n',
    "apps/cli/main.cc": LICENCE + '#include <CLI/CLI.hpp>\n#include <dmap/volume.h>\n#include "words.h"\n',
    "apps/cli/words.h": header("DMAP_CLI_WORDS_H_"),
    "testing/model/model.h": header("DMAP_TESTING_MODEL_MODEL_H_", '#include "dmap/volume.h"'),
    "testing/volume/volume_test.cc": LICENCE + '#include "testing/model/model.h"\n#include "volume/layout.h"\n',
    "src/volume/layout.h": header("DMAP_VOLUME_LAYOUT_H_"),
    "scripts/run": "#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\n",
    "scripts/notes.txt": "no licence is asked of this\n",
}


def violations_with(changes):
    """What is found in the clean tree with these files put over it."""
    with tempfile.TemporaryDirectory() as root:
        for name, text in {**CLEAN, **changes}.items():
            path = Path(root, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return Tree(root).check()


class Layering(unittest.TestCase):
    def assert_only(self, changes, *starts):
        found = violations_with(changes)
        self.assertEqual(len(found), len(starts), found)
        for violation, start in zip(found, starts):
            self.assertTrue(violation.startswith(start), f"{violation!r} does not begin with {start!r}")

    def test_a_clean_tree_has_no_violations(self):
        self.assert_only({})

    def test_every_upward_edge_between_layers_is_caught(self):
        order = [("base", "device/device.h"), ("device", "frame/page.h"), ("frame", "extent/map.h"),
                 ("extent", "device/device.h"), ("tree", "device/device.h"), ("tree", "frame/page.h"),
                 ("journal", "frame/page.h"), ("transfer", "journal/journal.h"), ("journal", "volume/layout.h")]
        for layer, name in order:
            with self.subTest(layer=layer, name=name):
                self.assert_only({f"src/{layer}/up.cc": f'{LICENCE}#include "{name}"\n'}, f"src/{layer}/up.cc:2: layer:")

    def test_angle_brackets_do_not_hide_an_edge(self):
        self.assert_only({"src/base/up.cc": LICENCE + "#  include <device/device.h>\n"}, "src/base/up.cc:2: layer:")

    def test_a_layer_outside_the_table_is_caught(self):
        self.assert_only({"src/misc/a.cc": LICENCE + '#include "base/check.h"\n'}, "src/misc/a.cc:2: layer:")

    def test_only_the_volume_may_include_the_volumes_public_header(self):
        self.assert_only({"src/frame/up.cc": LICENCE + '#include "dmap/volume.h"\n'}, "src/frame/up.cc:2: layer:")

    def test_a_public_header_may_not_smuggle_another_into_a_layer(self):
        self.assert_only({"include/dmap/frame.h": header("DMAP_FRAME_H_", '#include "dmap/volume.h"'),
                          "src/frame/frame.cc": LICENCE + '#include "dmap/frame.h"\n'}, "src/frame/frame.cc:2: layer:")

    def test_apps_and_sources_keep_to_their_sides(self):
        self.assert_only({"apps/cli/inner.cc": LICENCE + '#include "frame/page.h"\n'}, "apps/cli/inner.cc:2: layer:")
        self.assert_only({"src/volume/test.cc": LICENCE + '#include "testing/model/model.h"\n'},
                         "src/volume/test.cc:2: missing:")

    def test_the_public_headers_include_only_themselves_and_the_standard_library(self):
        for name in ("<urcu-bp.h>", "<fmt/core.h>"):
            with self.subTest(name=name):
                self.assert_only({"include/dmap/file.h": header("DMAP_FILE_H_", f"#include {name}")},
                                 "include/dmap/file.h:4: public:")
        self.assert_only({"include/dmap/file.h": header("DMAP_FILE_H_", '#include "base/check.h"')},
                         "include/dmap/file.h:4: public:")

    def test_an_include_that_names_no_file_is_caught(self):
        for name in ('"base/gone.h"', "<dmap/gone.h>", '"../src/base/check.h"'):
            with self.subTest(name=name):
                self.assert_only({"src/volume/a.cc": f"{LICENCE}#include {name}\n"}, "src/volume/a.cc:2: missing:")

    def test_a_file_without_its_licence_line_is_caught(self):
        self.assert_only({"src/base/a.cc": "\n" + LICENCE}, "src/base/a.cc:1: licence:")
        self.assert_only({"scripts/run": "#!/bin/sh\n"}, "scripts/run:1: licence:")

    def test_a_wrong_guard_is_caught(self):
        self.assert_only({"src/base/bits.h": header("DMAP_BITS_H_")}, "src/base/bits.h:1: guard:")

    def test_a_file_of_600_lines_passes_and_one_more_does_not(self):
        self.assert_only({"src/base/a.cc": LICENCE + "\n" * (LINES_MAX - 1)})
        self.assert_only({"src/base/a.cc": LICENCE + "\n" * LINES_MAX}, "src/base/a.cc:601: length:")


if __name__ == "__main__":
    unittest.main()
