#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The house rules that a program can check: who may include whom, the licence line, guards, the length of a file.

usage: check_layers.py [ROOT]     prints one line per violation, `file:line: rule: what`; exit status 1 if there is any

Rules, by the names they are reported under:
  layer    an include points down (docs/ARCHITECTURE.md has the picture; LAYERS below is the table)
  missing  an include of ours names a file that exists, from src/ or include/, never by a path relative to the file
  public   include/dmap includes only include/dmap and the standard library
  licence  every source and script begins with its SPDX line
  guard    a header's guard is DMAP_<PATH>_H_
  length   no file is longer than 600 lines
"""
import re
import sys
from pathlib import Path

# A layer of src/ and the layers it may include besides itself.
LAYERS = {
    "base": set(),
    "device": {"base"},
    "frame": {"base"},
    "extent": {"frame", "base"},
    "tree": {"base"},
    "journal": {"device", "base"},
    "transfer": {"device", "base"},
    "volume": {"journal", "tree", "transfer", "extent", "frame", "device", "base"},
}
# The public headers that everything may include, and those that belong to one layer, which implements them.
COMMON_HEADERS = {"types.h", "result.h"}
OWN_HEADERS = {"frame": re.compile(r"(frame|page)\w*\.h"), "volume": re.compile(r".*")}

LINES_MAX = 600
FOLDERS = ("src", "include", "apps", "python", "testing", "bench", "scripts", "cmake", ".ci")
SUFFIXES = {".h", ".cc", ".c", ".py", ".sh", ".cmake"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
LICENCE = "SPDX-License-Identifier: Apache-2.0"


class Tree:
    """The files under `root`, and every way in which they break the rules."""

    def __init__(self, root):
        self.root = Path(root).resolve()
        self.violations = []

    def check(self):
        """A sorted list of `file:line: rule: what`."""
        for folder in FOLDERS:
            for path in sorted((self.root / folder).rglob("*")):
                if path.is_file() and "build" not in path.relative_to(self.root).parts[:-1]:
                    self._check_file(path)
        return sorted(self.violations)

    def _report(self, path, line, rule, what):
        self.violations.append(f"{path.relative_to(self.root)}:{line}: {rule}: {what}")

    def _check_file(self, path):
        is_script = path.suffix == "" and path.read_bytes()[:2] == b"#!"
        if path.suffix not in SUFFIXES and not is_script:
            return
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        if not any(LICENCE in line for line in lines[: 2 if lines and lines[0].startswith("#!") else 1]):
            self._report(path, 1, "licence", f"does not begin with {LICENCE}")
        if len(lines) > LINES_MAX:
            self._report(path, len(lines), "length", f"{len(lines)} lines, at most {LINES_MAX}")
        if path.suffix in {".h", ".cc", ".c"}:
            self._check_guard(path, lines)
            for number, line in enumerate(lines, 1):
                if match := INCLUDE.match(line):
                    self._check_include(path, number, match[2], quoted=match[1] == '"')

    def _check_guard(self, path, lines):
        folder, *rest = path.relative_to(self.root).parts
        if path.suffix != ".h" or folder not in {"src", "include"}:
            return
        parts = rest if folder == "include" else ["dmap", *rest]
        guard = re.sub(r"\W", "_", "_".join(parts)).upper() + "_"
        if f"#ifndef {guard}" not in lines or f"#define {guard}" not in lines:
            self._report(path, 1, "guard", f"its guard should be {guard}")

    def _check_include(self, path, number, name, quoted):
        here = path.relative_to(self.root).parts
        target = self._resolve(here, name)
        if target is None:
            if quoted or name.startswith("dmap/"):
                self._report(path, number, "missing", f'"{name}" names no file that may be included here')
            elif here[0] == "include" and not re.fullmatch(r"[a-z0-9_]+", name):
                self._report(path, number, "public", f"<{name}> is not of the standard library")
            return
        if reason := self._refusal(here, target):
            self._report(path, number, "public" if here[0] == "include" else "layer", f'"{name}": {reason}')

    def _resolve(self, here, name):
        """The parts of the path of ours that `name` means in file `here`, or None for a system header."""
        places = {"testing": ["src", "include", "."], "bench": ["src", "include", "."], "src": ["src", "include"]}
        apps = ["include", "src", *("/".join(here[:n]) for n in range(len(here) - 1, 0, -1))]
        for place in places.get(here[0], apps) if ".." not in name else ():
            target = self.root / place / name
            if target.is_file():
                return target.resolve().relative_to(self.root).parts
        return None

    def _refusal(self, here, target):
        """Why file `here` may not include file `target`; None if it may."""
        part = here[0]
        if part == "include":
            return None if target[0] == "include" else "include/dmap includes only include/dmap"
        if part == "src":
            return self._refusal_in_layer(here[1], target)
        if part in {"apps", "python"}:
            if target[0] == "include" or target[:2] == here[:2]:
                return None
            return f"{part} stands on include/dmap alone"
        return "tests are not a layer" if target[0] == "bench" and part == "testing" else None

    def _refusal_in_layer(self, layer, target):
        if layer not in LAYERS:
            return f"src/{layer} is not in the table of layers"
        if target[0] == "src":
            other = target[1]
            return None if other == layer or other in LAYERS[layer] else f"{layer} may not include {other}"
        if target[0] != "include":
            return f"src may not include {target[0]}"
        own = OWN_HEADERS.get(layer)
        for header in self._closure(target):
            if header not in COMMON_HEADERS and not (own and own.fullmatch(header)):
                return f"dmap/{header} is above {layer}"
        return None

    def _closure(self, target):
        """The public headers that come with one of them, itself first."""
        found, waiting = [], [target[-1]]
        while waiting:
            header = waiting.pop()
            path = self.root / "include" / "dmap" / header
            if header in found or not path.is_file():
                continue
            found.append(header)
            names = (match[2] for line in path.read_text(encoding="utf-8").splitlines() if (match := INCLUDE.match(line)))
            waiting.extend(name.removeprefix("dmap/") for name in names if name.startswith("dmap/"))
        return found


def main(arguments):
    violations = Tree(arguments[0] if arguments else ".").check()
    for violation in violations:
        print(violation)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
