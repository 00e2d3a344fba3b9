#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads a dmap volume by docs/format.md alone: a second reader, which shares no code with the first.

usage: read_volume.py [--boot HEX] VOLUME     prints what the volume holds

Whatever the document says a reader must verify is verified, and more: that every frame has one use. What does not hold
is a Damaged exception that says where. HEX are the 16 bytes of the machine's boot that is to be believed in; without
it every intact record counts, as on media that keep their order.
"""
import argparse
import mmap
import struct
import sys
from dataclasses import dataclass, field

FRAME = 4096
HOLE_END = 1 << 52  # no file has frames from here on
INODE, INLINE, SYMLINK, DENTRY, XATTR, EXTENT, SPACE, ORPHAN = 1, 2, 3, 4, 5, 6, 16, 17
OPERATION, SESSION, MARKER, WRAP = 1, 2, 3, 4
TYPES = ["file", "directory", "symlink", "chardev", "blockdev", "fifo", "socket"]


class Damaged(Exception):
    """Bytes that cannot be true."""


def require(holds, what):
    if not holds:
        raise Damaged(what)


def _crc_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_TABLE = _crc_table()


def crc32c(data, seed=0):
    crc = seed ^ 0xFFFFFFFF
    table = _TABLE
    for byte in data:
        crc = table[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def mix(x):
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & (1 << 64) - 1
    x = (x ^ x >> 27) * 0x94D049BB133111EB & (1 << 64) - 1
    return x ^ x >> 31


@dataclass
class Position:
    """A place between records."""

    offset: int
    sequence: int
    chain: int
    epoch: int
    boot: bytes


@dataclass
class Record:
    offset: int
    sequence: int
    kind: int
    payload: bytes
    counts: bool = False


@dataclass
class Object:
    """What an inode key says, and the keys beside it."""

    number: int
    type: int
    flags: int
    permissions: int
    uid: int
    gid: int
    links: int
    size: int
    frames: int
    extents: int
    accessed: int
    modified: int
    changed: int
    born: int
    device: int
    parent: int
    dead_from: int
    mapping: list = field(default_factory=list)  # (file frame, pfn, frames, written), alive ones
    dead: list = field(default_factory=list)
    inline: bytes = b""
    target: bytes = b""
    entries: list = field(default_factory=list)  # (name, inode, type)
    xattrs: dict = field(default_factory=dict)


class Volume:
    """A volume as an open for reading sees it: checkpoint and journal together."""

    def __init__(self, data, boot=None):
        self.data = data
        self._read_superblock()
        self._read_root_slot()
        self.used_nodes = set()
        self._read_zone_maps()
        self.keys = {}
        if self.height > 0:
            self._read_node(self.root_pfn, self.root_generation, self.height - 1, (0, 0), ((1 << 64) - 1,) * 2)
        require(len(self.keys) == self.tree_entries, "the tree has another number of entries than the root slot says")
        self._compare_used_nodes()
        self.owned = self._owned_by_groups()
        require(len(self.owned) == self.owned_frames, "the groups own another number of frames than the root slot says")
        self._read_journal(boot)
        self._replay()
        self._decode_objects()
        self._give_every_frame_one_use()

    # -- Fixed places. ------------------------------------------------------------------------------------------------

    def frame(self, index):
        require((index + 1) * FRAME <= len(self.data), f"frame {index} lies behind the end of the device")
        return self.data[index * FRAME : (index + 1) * FRAME]

    def _sealed_frame(self, index, magic):
        frame = self.frame(index)
        if frame[:8] != magic or struct.unpack_from("<I", frame, 8)[0] != crc32c(frame[:8] + bytes(4) + frame[12:]):
            return None
        return frame

    def _read_superblock(self):
        frame = self._sealed_frame(0, b"DMAPVOL\0") or self._sealed_frame(3, b"DMAPVOL\0")
        require(frame, "neither superblock can be used")
        version, self.compatible, self.read_only, incompatible = struct.unpack_from("<IQQQ", frame, 12)
        require(version == 1 and incompatible == 0, "the volume is of a version or has features this reader does not know")
        self.uuid = frame[40:56]
        self.frames, first, self.journal_frames, self.hash_seed, self.created = struct.unpack_from("<QQQQq", frame, 56)
        require(self.frames * FRAME <= len(self.data) and self.frames >= 1024, "the volume is larger than its device")
        require(first == 8 and 16 <= self.journal_frames < self.frames - 8, "the journal's place cannot be true")
        low, high = struct.unpack("<QQ", self.uuid)
        self.tag = low ^ ((high << 32 | high >> 32) & (1 << 64) - 1)
        self.seed = (self.tag ^ self.tag >> 32) & 0xFFFFFFFF
        self.ring = self.data[8 * FRAME : (8 + self.journal_frames) * FRAME]

    def _read_root_slot(self):
        slots = [slot for slot in map(self._root_slot, (1, 2)) if slot]
        require(slots, "neither root slot can be used")
        newest = max(slots, key=lambda slot: slot["generation"])
        self.slots = [slot["generation"] for slot in slots]
        vars(self).update(newest)

    def _root_slot(self, index):
        frame = self._sealed_frame(index, b"DMAPROOT")
        if frame is None:
            return None
        zones, tag, generation, root_pfn, root_generation, entries, digest = struct.unpack_from("<IQQQQQQ", frame, 12)
        height, chain, offset, sequence, epoch = struct.unpack_from("<IIQQQ", frame, 64)
        inode_next, inodes, owned, boot = struct.unpack_from("<QQQ16s", frame, 96)
        if tag != self.tag or offset >= len(self.ring) or offset % 64 or not 1 <= zones <= 240 or inode_next < 2:
            return None
        places = [struct.unpack_from("<QQ", frame, 136 + 16 * i) for i in range(zones)]
        for first, frames in places:
            if first < 8 + self.journal_frames or not 0 < frames or first + frames > self.frames:
                return None
        return {"generation": generation, "root_pfn": root_pfn, "root_generation": root_generation,
                "tree_entries": entries, "maps_digest": digest, "height": height, "inode_next": inode_next,
                "inodes": inodes, "owned_frames": owned, "zones": places,
                "journal_start": Position(offset, sequence, chain, epoch, boot)}

    # -- Metadata zones and the tree. ---------------------------------------------------------------------------------

    def _read_zone_maps(self):
        self.live_nodes = set()
        digest = 0
        for first, count in self.zones:
            require(64 <= count <= 32256, f"zone {first} has no length of a zone")
            maps = [found for found in (self._zone_map(first, count, slot) for slot in (0, 1)) if found]
            maps = [found for found in maps if found[0] <= self.generation]
            require(maps, f"neither map of zone {first} can be used")
            generation, used = max(maps)
            digest += mix((mix(first) + generation) & (1 << 64) - 1)
            self.live_nodes |= {first + i for i in used if i > 1}
        require(digest & (1 << 64) - 1 == self.maps_digest, "the zones' maps are not those of the checkpoint")

    def _zone_map(self, first, count, slot):
        frame = self.frame(first + slot)
        crc, magic, tag, said_first, said_count, generation = struct.unpack_from("<I4sQQQQ", frame)
        sound = magic == b"DMZM" and crc == crc32c(frame[4:]) and (tag, said_first, said_count) == (self.tag, first, count)
        if not sound or any(frame[40:64]):
            return None
        bits = int.from_bytes(frame[64:], "little")
        if bits & 3 != 3 or bits >> count:
            return None
        return generation, [i for i in range(count) if bits >> i & 1]

    def _read_node(self, pfn, generation, level, low, high):
        where = f"node {pfn}"
        require(pfn in self.live_nodes, f"{where}: its zone's map does not count it")
        require(pfn not in self.used_nodes, f"{where}: two parents name it")
        self.used_nodes.add(pfn)
        frame = self.frame(pfn)
        crc, magic, tag, self_pfn, self_generation = struct.unpack_from("<I4sQQQ", frame)
        count, self_level, heap, garbage = struct.unpack_from("<HHHH", frame, 32)
        require(crc == crc32c(frame[4:]), f"{where}: its checksum is wrong")
        require(magic == (b"DMIN" if level else b"DMLF"), f"{where}: its magic number is wrong")
        require((tag, self_pfn, self_generation, self_level) == (self.tag, pfn, generation, level),
                f"{where}: it is another node than its parent names")
        require(not any(frame[40:64]) and 1 <= count <= (126 if level else 201), f"{where}: its header cannot be true")
        keys = [struct.unpack_from("<QQ", frame, 64 + 16 * i) for i in range(count)]
        require(all(a < b for a, b in zip(keys, keys[1:])), f"{where}: its keys do not ascend")
        require(low <= keys[0] and keys[-1] <= high, f"{where}: its keys are not its parent's")
        if level:
            require(heap == garbage == 0, f"{where}: an inner node has no heap")
            for i in range(count):
                child, child_generation = struct.unpack_from("<QQ", frame, 2080 + 16 * i)
                require(child_generation <= generation, f"{where}: a child is younger than it")
                last = high if i + 1 == count else _before(keys[i + 1])
                self._read_node(child, child_generation, level - 1, keys[i] if i else low, last)
            return
        used = 0
        for i in range(count):
            offset, length = struct.unpack_from("<HH", frame, 64 + 16 * count + 4 * i)
            require(heap <= offset and offset + length <= FRAME and length <= 1200, f"{where}: a value lies outside")
            used += length
            self.keys[keys[i]] = frame[offset : offset + length]
        require(64 + 20 * count <= heap and used + garbage == FRAME - heap, f"{where}: its heap does not add up")

    def _compare_used_nodes(self):
        require(self.used_nodes == self.live_nodes, "the zones' maps count other nodes than the tree has")

    def _owned_by_groups(self):
        owned = set()
        for (object_, place), value in self.keys.items():
            if object_ == 0 and place >> 56 == SPACE:
                owned |= {(place & (1 << 56) - 1) * 8192 + i for i in decode_group(value)}
        require(all(frame < self.frames for frame in owned), "a group owns frames behind the end of the volume")
        return owned

    # -- The journal. -------------------------------------------------------------------------------------------------

    def _record_at(self, at):
        if len(self.ring) - at.offset < 32:
            return None
        checksum, length, sequence, epoch, chain, kind, zero = struct.unpack_from("<IIQQIHH", self.ring, at.offset)
        expected_epoch = epoch > at.epoch if kind == SESSION else epoch == at.epoch
        if (sequence, chain, zero) != (at.sequence, at.chain, 0) or not expected_epoch or length > 256 << 10:
            return None
        size = (32 + length + 63) // 64 * 64
        if size > len(self.ring) - at.offset or {SESSION: 16, MARKER: 8}.get(kind, length) != length:
            return None
        covered = self.ring[at.offset + 4 : at.offset + 32 + length]
        if crc32c(covered, self.seed) != checksum:
            return None
        payload = bytes(covered[28:])
        end = at.offset + size
        boot = payload if kind == SESSION else at.boot
        behind = 0 if kind == WRAP or end == len(self.ring) else end
        return Record(at.offset, sequence, kind, payload), Position(behind, sequence + 1, checksum, epoch, boot)

    def _read_journal(self, boot):
        self.records = []
        at = self.journal_start
        marked = at.sequence
        while found := self._record_at(at):
            record, at = found
            self.records.append(record)
            if record.kind == MARKER:
                marked = struct.unpack("<Q", record.payload)[0]
            require(len(self.records) <= len(self.ring) // 64, "the journal's chain is longer than the ring")
        for record in self.records:
            record.counts = boot is None or boot == at.boot or record.sequence < marked
        self.journal_end = at

    def _replay(self):
        self.replayed_zones = []
        for record in self.records:
            if record.kind != OPERATION or not record.counts:
                continue
            self.inode_next, self.inodes = struct.unpack_from("<QQ", record.payload)
            for tag, first, second, value in decode_words(record.payload):
                if tag == 1:
                    self.keys[first, second] = value
                elif tag == 2:
                    self.keys.pop((first, second), None)
                elif tag == 3:
                    self.owned |= set(range(first, first + second))
                elif tag == 4:
                    self.owned -= set(range(first, first + second))
                else:
                    self.replayed_zones.append((first, second))

    # -- What the keys mean. ------------------------------------------------------------------------------------------

    def _decode_objects(self):
        self.objects = {}
        self.orphans = set()
        for key in sorted(self.keys):
            object_, kind, offset = key[0], key[1] >> 56, key[1] & (1 << 56) - 1
            value = self.keys[key]
            if object_ == 0:
                require(kind in (SPACE, ORPHAN), f"the volume has a key of kind {kind}")
                if kind == ORPHAN:
                    require(value == b"", "an orphan key has a value")
                    self.orphans.add(offset)
            elif kind == INODE:
                self.objects[object_] = decode_inode(object_, value)
            else:
                require(object_ in self.objects, f"object {object_} has keys and no inode")
                self._decode_key(self.objects[object_], kind, offset, value)
        for found in self.objects.values():
            self._finish(found)

    def _decode_key(self, found, kind, offset, value):
        where = f"object {found.number}"
        if not found.links and kind != EXTENT:
            return  # it is being taken apart
        if kind == INLINE:
            found.inline = value
        elif kind == SYMLINK:
            require(offset * 1024 == len(found.target) and 1 <= len(value) <= 1024, f"{where}: a part of its target is missing")
            found.target += value
        elif kind == DENTRY:
            found.entries += decode_dentries(value)
        elif kind == XATTR:
            self._decode_xattr(found, offset, value)
        elif kind == EXTENT:
            pfn, frames = struct.unpack("<QQ", value)
            written, frames = frames >> 63 == 0, frames & (1 << 63) - 1
            require(frames > 0 and pfn + frames <= self.frames, f"{where}: an extent lies outside of the volume")
            require(offset + frames <= HOLE_END, f"{where}: an extent lies behind every offset")
            (found.dead if offset >= found.dead_from else found.mapping).append((offset, pfn, frames, written))
        else:
            raise Damaged(f"{where}: a key of kind {kind}")

    def _decode_xattr(self, found, offset, value):
        if offset % 256 == 0:
            value_size, name_size = struct.unpack_from("<II", value)
            require(1 <= name_size <= 255 and value_size <= 64 << 10, f"object {found.number}: an attribute's head")
            self._xattr = (value[8 : 8 + name_size], value_size)
            found.xattrs[self._xattr[0]] = b""
            value = value[8 + name_size :]
        name, size = self._xattr
        found.xattrs[name] += value
        require(len(found.xattrs[name]) <= size, f"object {found.number}: attribute {name} is too long")

    def _finish(self, found):
        where = f"object {found.number}"
        ends = [0] + [at + frames for at, _, frames, _ in found.mapping]
        require(all(end <= item[0] for end, item in zip(ends, found.mapping)), f"{where}: extents overlap")
        if found.links:
            require(len(found.mapping) == found.extents, f"{where}: its number of extents")
            require(sum(item[2] for item in found.mapping) == found.frames, f"{where}: its number of frames")
        if found.links and found.flags & 2:
            require(len(found.inline) == found.size, f"{where}: its inline bytes are not of its size")
        if found.links and found.type == 2:
            require(len(found.target) == found.size, f"{where}: its target is not of its size")
        require(found.links or found.number in self.orphans, f"{where}: it has no name and is no orphan")

    def _give_every_frame_one_use(self):
        uses = {}

        def use(first, count, what):
            for frame in range(first, first + count):
                require(frame not in uses, f"frame {frame}: {what}, and {uses.get(frame)}")
                uses[frame] = what

        use(0, 8 + self.journal_frames, "fixed")
        for first, count in [*self.zones, *self.replayed_zones]:
            use(first, count, "metadata")
        fixed = set(uses)
        for found in self.objects.values():
            for _, pfn, frames, _ in found.mapping + found.dead:
                use(pfn, frames, f"object {found.number}")
        require(set(uses) - fixed == self.owned, "the frames that files have are not those that groups and journal own")
        require(len(self.objects) == self.inodes, "another number of inodes than counted")
        require(all(number < self.inode_next for number in self.objects), "an inode number that was not given out yet")

    def bytes_of(self, found):
        """The contents of a file, the target of a symbolic link."""
        if found.type == 2:
            return found.target
        if found.flags & 2:
            return found.inline
        content = bytearray(found.size)
        for at, pfn, frames, written in found.mapping:
            if written and at * FRAME < found.size:
                length = min(frames * FRAME, found.size - at * FRAME)
                content[at * FRAME : at * FRAME + length] = self.data[pfn * FRAME : pfn * FRAME + length]
        return bytes(content)

    def paths(self):
        """(path, object) for every name, the root first; bytes."""
        waiting = [(b"/", self.objects[1])]
        while waiting:
            path, found = waiting.pop()
            yield path, found
            for name, number, type_ in found.entries:
                require(number in self.objects, f"{path}: {name} leads to nothing")
                require(self.objects[number].type == type_, f"{path}: {name} has another type")
                waiting.append((path.rstrip(b"/") + b"/" + name, self.objects[number]))


def _before(key):
    number = (key[0] << 64 | key[1]) - 1
    return number >> 64, number & (1 << 64) - 1


def decode_group(value):
    """The frames of a group that are owned, by their numbers in it."""
    form, rest = value[0], value[1:]
    if form == 1:
        require(not rest, "a full group with more bytes")
        return list(range(8192))
    if form == 2:
        require(rest and len(rest) % 4 == 0 and len(rest) // 4 <= 255, "a list of runs of an impossible length")
        frames, behind = [], -1
        for first, count in struct.iter_unpack("<HH", rest):
            require(count and first > behind and first + count <= 8192, "a run out of order or bounds")
            behind = first + count
            frames += range(first, behind)
        require(len(frames) < 8192, "a full group as a run")
        return frames
    require(form == 3 and len(rest) == 1024, "a group in no form there is")
    bits = int.from_bytes(rest, "little")
    return [i for i in range(8192) if bits >> i & 1]


def decode_words(payload):
    """(tag, first word, second word, value) of an operation's changes."""
    at = 16
    while at < len(payload):
        tag = payload[at]
        require(1 <= tag <= 5, "an operation with a word of no kind there is")
        size = 0
        at += 1
        if tag == 1:
            size = struct.unpack_from("<H", payload, at)[0]
            at += 2
        require(size <= 1200 and at + 16 + size <= len(payload), "an operation that ends within a word")
        yield tag, *struct.unpack_from("<QQ", payload, at), payload[at + 16 : at + 16 + size]
        at += 16 + size


def decode_inode(number, value):
    require(len(value) == 96, f"object {number}: its inode has another size")
    found = Object(number, *struct.unpack("<BBHIIIQQQqqqqQQQ", value))
    sane = found.type <= 6 and found.size < 1 << 63 and found.permissions <= 0o7777 and found.dead_from <= HOLE_END
    require(sane, f"object {number}: its inode makes no sense")
    return found


def decode_dentries(value):
    entries, slots, at = [], [-1], 0
    while at < len(value):
        require(at + 11 <= len(value), "a directory entry that is cut")
        inode, type_, slot, size = struct.unpack_from("<QBBB", value, at)
        require(inode and type_ <= 6 and slots[-1] < slot < 127 and size and at + 11 + size <= len(value), "a directory entry")
        entries.append((value[at + 11 : at + 11 + size], inode, type_))
        slots.append(slot)
        at += 11 + size
    return entries


def open_volume(path, boot=None):
    with open(path, "rb") as file:
        return Volume(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), boot)


def facts(volume):
    """One line for each name: what a program that uses dmap's API would say of it."""
    lines = []
    for path, found in volume.paths():
        extents = ",".join(f"{at}:{pfn}:{frames}:{'w' if written else 'u'}" for at, pfn, frames, written in found.mapping)
        xattrs = ",".join(sorted(f"{name.hex()}={value.hex()}" for name, value in found.xattrs.items()))
        lines.append("\t".join([path.hex(), str(found.number), TYPES[found.type], f"{found.permissions:o}",
                                f"{found.uid}:{found.gid}", str(found.links), str(found.size), str(found.device),
                                str(found.modified), str(found.born), extents or "-", xattrs or "-"]))
    return sorted(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--boot", type=bytes.fromhex)
    parser.add_argument("volume")
    arguments = parser.parse_args()
    volume = open_volume(arguments.volume, arguments.boot)
    counted = sum(record.counts for record in volume.records)
    print(f"uuid {volume.uuid.hex()}, {volume.frames} frames, checkpoint {volume.generation}, height {volume.height}, "
          f"{len(volume.records)} records ({counted} count)")
    print("path, inode, type, permissions, owner, links, size, device, modified, born, extents, attributes")
    for line in facts(volume):
        path, rest = line.split("\t", 1)
        print(bytes.fromhex(path).decode(errors="backslashreplace") + "\t" + rest)


if __name__ == "__main__":
    try:
        main()
    except (OSError, Damaged) as error:
        sys.exit(f"{sys.argv[0]}: {error}")
