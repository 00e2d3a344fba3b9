#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the documents show is true: code is quoted from programs that build and run, shell examples are run as they
stand, tests and files that are named exist, and tables of options and errors are those of the headers.

usage: documents_test.py ROOT DMAP EXAMPLE...
"""
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import unittest
from pathlib import Path

ROOT = Path()
DMAP = Path()
EXAMPLES = []

DOCUMENTS = ["README.md", "docs/guide.md", "docs/ARCHITECTURE.md", "docs/format.md"]
BLOCK = re.compile(r"(?:<!-- ([^\n]*) -->\n)?```(cpp|sh)\n(.*?)```", re.S)


def text_of(name):
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(language):
    """(document, the comment in front, the text) of each block of code."""
    for name in DOCUMENTS:
        for comment, kind, text in BLOCK.findall(text_of(name)):
            if kind == language:
                yield name, comment, text


class DocumentsTest(unittest.TestCase):
    def run_in_folder(self, *command):
        with tempfile.TemporaryDirectory(prefix="dmap-documents-") as folder:
            path = f"{DMAP.parent}:{os.environ['PATH']}"
            done = subprocess.run(command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True,
                                  timeout=100)
            self.assertEqual(done.returncode, 0, (command, done.stdout, done.stderr))
            return done.stdout

    def test_cpp_is_quoted_from_the_examples(self):
        count = 0
        for name, comment, text in blocks("cpp"):
            with self.subTest(document=name, block=text[:60]):
                source = re.fullmatch(r"from (examples/\w+\.cc)", comment)
                self.assertTrue(source, "a block of C++ names no example that it is from")
                self.assertIn(text, textwrap.dedent(self.body_of(text_of(source[1]))))
                count += 1
        self.assertGreaterEqual(count, 4)

    @staticmethod
    def body_of(source):
        """The body of run(), which is what the documents quote from."""
        return re.search(r"dmap::Result<void> run\([^)]*\) {\n(.*?)^}", source, re.S | re.M)[1]

    def test_the_examples_run(self):
        self.assertEqual(len(EXAMPLES), len(list((ROOT / "examples").glob("*.cc"))))
        for example in EXAMPLES:
            with self.subTest(example=example):
                arguments = ["volume.dmap"] if "read_in_place" in example else []
                self.assertTrue(self.run_in_folder(example, *arguments))

    def test_shell_examples_run_as_they_stand(self):
        count = 0
        for name, comment, text in blocks("sh"):
            with self.subTest(document=name, block=text[:60]):
                if comment.startswith("not run: "):
                    continue
                self.assertEqual(comment, "run", "a block of shell says neither `run` nor `not run: why`")
                self.run_in_folder("bash", "-euo", "pipefail", "-c", text)
                count += 1
        self.assertGreaterEqual(count, 3)

    def test_tests_that_are_named_exist(self):
        tests = set()
        for file in (ROOT / "testing").rglob("*.cc"):
            tests |= {".".join(names) for names in re.findall(r"\bT\w*EST\w*\(\s*(\w+),\s*(\w+)", file.read_text())}
        for file in (ROOT / "testing").rglob("CMakeLists.txt"):
            tests |= set(re.findall(r"add_test\(NAME ([\w.]+)", file.read_text()))
        named = set(re.findall(r"`([A-Za-z]\w+\.[A-Z]\w{8,})`", text_of("docs/ARCHITECTURE.md")))
        self.assertGreater(len(named), 30)
        self.assertEqual(named - tests, set())

    def test_files_that_are_named_exist(self):
        for name in DOCUMENTS:
            text = text_of(name)
            paths = set(re.findall(r"`((?:src|include|apps|testing|docs|examples|scripts)/[\w./-]+)`", text))
            links = re.findall(r"\]\(([\w./-]+)\)", text)
            paths |= {str((ROOT / name).parent.joinpath(link).relative_to(ROOT)) for link in links}
            missing = {path for path in paths if not (ROOT / path).exists()}
            # Said to be missing, and so it should be.
            self.assertEqual(missing - {"src/transfer"}, set(), name)

    def test_the_budgets_are_those_of_the_header(self):
        options = text_of("include/dmap/options.h").split("struct OpenOptions {")[1].split("};")[0]
        said = {name: value.replace("_", " ") for name, value in re.findall(r"(?:Bytes|uint32_t) (\w+) = (\w+);", options)}
        table = dict(re.findall(r"^\| (\w+) \| (\d[\w ]*) \|", text_of("docs/guide.md"), re.M))
        self.assertEqual(table, said)

    def test_every_error_code_is_explained(self):
        names = set(re.findall(r'case Code::k\w+: return {"(\w+)"', text_of("src/base/result.cc")))
        self.assertGreater(len(names), 20)
        table = text_of("docs/guide.md").split("| codes |")[1]
        self.assertEqual({name for name in names if not re.search(rf"\b{name}\b", table)}, set())


if __name__ == "__main__":
    ROOT = Path(sys.argv.pop(1)).resolve()
    DMAP = Path(sys.argv.pop(1)).resolve()
    while len(sys.argv) > 1 and os.sep in sys.argv[1]:
        EXAMPLES.append(sys.argv.pop(1))
    unittest.main()
