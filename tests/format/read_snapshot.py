"""Reads rkvs snapshots, format version 1.

Written from docs/snapshot_format.md and src/snapshot/snapshot.fbs alone: what is here and what the
library does agree only if that page is right. The rules are checked in the order in which the page
has them, and named by its numbers. FlatBuffers for Python has no verifier (rule 5); offsets that
lead nowhere are found when they are followed.

    python read_snapshot.py FILE      prints the file as the golden files' JSON
"""

import base64
import json
import struct
import sys

import xxhash

from rkvs.internal.fb.Body import Body
from rkvs.internal.fb.Chunk import Chunk
from rkvs.internal.fb.Footer import Footer
from rkvs.internal.fb.Frame import Frame
from rkvs.internal.fb.Header import Header
from rkvs.internal.fb.Namespace import Namespace

FRAME_HEADER = struct.Struct("<4sHHIIQQ")
CHECKED_BYTES = 24

KEY_LIMIT = 1 << 20
VALUE_LIMIT = 1 << 30
CHUNK_LIMIT = 16 << 20
INFO_LIMIT = 64 << 10
LARGEST_VERSION = 1 << 62


class SnapshotError(Exception):
    """The file is not a snapshot of version 1, or is damaged."""


def require(condition, what):
    if not condition:
        raise SnapshotError(what)


def has_control_bytes(text):
    return any(byte < 0x20 or byte == 0x7F for byte in text)


def has_control_characters(text):
    return any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in text)


class Reader:
    """One pass over the bytes of one file; `read` is all there is to it."""

    def __init__(self, data):
        self.data = data
        self.offset = 0
        self.frames = 0
        self.checksums = xxhash.xxh3_64()

    def read(self):
        header = self.read_header()
        namespaces = header["namespaces"]
        totals = []
        while True:
            kind, payload_size, body = self.next_frame(len(namespaces))
            require(kind != Body.Header, "6: a second header")
            if kind == Body.Namespace:
                require(len(namespaces) < header["namespace_count"], "7: too many namespaces")
                info = self.namespace(body)
                require(all(info["name"] != other["name"] for other in namespaces), "7: name twice")
                namespaces.append(info)
                totals.append([0, 0, 0])
            elif kind == Body.Chunk:
                require(namespaces, "6: a chunk before any namespace")
                self.chunk(body, payload_size, namespaces, totals[-1])
            else:
                self.footer(body, header["namespace_count"], totals)
                break
            self.advance()
        for info in namespaces:
            keys = [entry[0] for entry in info["entries"]]
            require(len(set(keys)) == len(keys), "11: a key twice")
        del header["namespace_count"]
        return header

    # --- Frames ---

    def next_frame(self, namespaces):
        """Rules 1 to 5: kind, size of the payload, table of the body."""
        left = len(self.data) - self.offset
        require(left >= FRAME_HEADER.size, "1: the file ends too early")
        head = self.data[self.offset : self.offset + FRAME_HEADER.size]
        magic, kind, flags, sequence, reserved, length, checksum = FRAME_HEADER.unpack(head)
        require(magic == b"RKVS", "1: magic")
        require(sequence == self.frames, "1: sequence number")

        limit = {
            Body.Header: INFO_LIMIT,
            Body.Namespace: INFO_LIMIT,
            Body.Chunk: KEY_LIMIT + VALUE_LIMIT + 4096,
            Body.Footer: 1024 + 24 * namespaces,
        }.get(kind, CHUNK_LIMIT)
        require(0 < length <= limit and length % 8 == 0, "2: payload length")
        require(length <= left - FRAME_HEADER.size, "2: payload length over the file's end")
        begin = self.offset + FRAME_HEADER.size
        payload = self.data[begin : begin + length]

        digest = xxhash.xxh3_64(head[:CHECKED_BYTES])
        digest.update(payload)
        require(digest.intdigest() == checksum, "3: checksum")
        known = (Body.Header, Body.Namespace, Body.Chunk, Body.Footer)
        require(kind in known and flags == 0 and reserved == 0, "4: of another version")

        require(Frame.FrameBufferHasIdentifier(payload, 0), "5: file identifier")
        frame = Frame.GetRootAs(payload)
        require(frame.BodyType() == kind, "5: kind of the payload")
        body = frame.Body()
        require(body is not None, "5: no body")
        self.checksum_field = head[CHECKED_BYTES:]
        self.end = begin + length
        return kind, length, body

    def advance(self):
        self.checksums.update(self.checksum_field)
        self.offset = self.end
        self.frames += 1

    # --- Bodies ---

    def read_header(self):
        kind, _, body = self.next_frame(0)
        require(kind == Body.Header, "6: the first frame is no header")
        header = Header()
        header.Init(body.Bytes, body.Pos)
        require(header.FormatVersion() == 1, "format version %d" % header.FormatVersion())
        library_version = header.LibraryVersion() or b""
        require(len(library_version) <= 64, "library_version too long")
        require(not has_control_bytes(library_version), "library_version with control characters")
        self.advance()
        return {
            "format_version": header.FormatVersion(),
            "created_unix_ms": header.CreatedUnixMs(),
            "library_version": library_version,
            "max_namespaces": header.MaxNamespaces(),
            "max_bytes": header.MaxBytes(),
            "namespace_count": header.NamespaceCount(),
            "namespaces": [],
        }

    @staticmethod
    def namespace(body):
        ns = Namespace()
        ns.Init(body.Bytes, body.Pos)
        name = ns.Name()
        require(name is not None and 1 <= len(name) <= 128, "7: size of a name")
        try:
            require(not has_control_characters(name.decode("utf-8")), "7: control character")
        except UnicodeDecodeError:
            raise SnapshotError("12: a name that is not UTF-8") from None
        require(1 <= ns.MaxKeySize() <= KEY_LIMIT, "7: max_key_size")
        require(ns.ShardCount() <= 4096, "7: shard_count")
        require(ns.ShardsInUse() <= 4096, "7: shards_in_use")
        require(1 <= ns.LockTimeoutMs() <= 3600000, "7: lock_timeout_ms")
        require(ns.LastVersion() <= LARGEST_VERSION, "7: last_version")
        autosave = None
        if ns.Autosave() is not None:
            pattern = ns.Autosave().Pattern()
            require(pattern is not None and len(pattern) <= 200, "7: autosave pattern")
            autosave = {
                "interval_ms": ns.Autosave().IntervalMs(),
                "changes": ns.Autosave().Changes(),
                "pattern": pattern,
            }
        return {
            "name": name,
            "max_keys": ns.MaxKeys(),
            "max_value_size": ns.MaxValueSize(),
            "max_bytes": ns.MaxBytes(),
            "max_key_size": ns.MaxKeySize(),
            "shard_count": ns.ShardCount(),
            "shards_in_use": ns.ShardsInUse(),
            "lock_timeout_ms": ns.LockTimeoutMs(),
            "autosave": autosave,
            "entry_count": ns.EntryCount(),
            "value_bytes": ns.ValueBytes(),
            "last_version": ns.LastVersion(),
            "entries": [],
        }

    @staticmethod
    def chunk(body, payload_size, namespaces, totals):
        chunk = Chunk()
        chunk.Init(body.Bytes, body.Pos)
        info = namespaces[-1]
        size = chunk.KeyEndsLength()
        require(size >= 1, "8: no entries")
        require(payload_size <= CHUNK_LIMIT or size == 1, "8: several entries over 16 MiB")
        require(chunk.NamespaceIndex() == len(namespaces) - 1, "8: namespace_index")
        for name in ("KeyEnds", "ValueEnds", "Keys", "Values"):
            require(not getattr(chunk, name + "IsNone")(), "5: %s missing" % name)
        require(chunk.ValueEndsLength() == size, "8: columns of different lengths")
        has_versions = not chunk.VersionsIsNone()
        has_expiries = not chunk.ExpiriesIsNone()
        require(not has_versions or chunk.VersionsLength() == size, "8: length of versions")
        require(not has_expiries or chunk.ExpiriesLength() == size, "8: length of expiries")

        keys = bytes(chunk.Keys(i) for i in range(chunk.KeysLength()))
        values = bytes(chunk.Values(i) for i in range(chunk.ValuesLength()))
        key_begin = value_begin = 0
        for i in range(size):
            key_end, value_end = chunk.KeyEnds(i), chunk.ValueEnds(i)
            require(key_begin <= key_end <= len(keys), "8: key_ends")
            require(value_begin <= value_end <= len(values), "8: value_ends")
            require(key_end - key_begin <= KEY_LIMIT, "8: size of a key")
            require(value_end - value_begin <= VALUE_LIMIT, "8: size of a value")
            version = chunk.Versions(i) if has_versions else 0
            expiry = chunk.Expiries(i) if has_expiries else 0
            require(version <= info["last_version"], "8: version over last_version")
            require(expiry >= 0, "8: negative expiry")
            entry = (keys[key_begin:key_end], values[value_begin:value_end], version, expiry)
            info["entries"].append(entry)
            key_begin, value_begin = key_end, value_end
        require(key_begin == len(keys) and value_begin == len(values), "8: last ends")
        totals[0] += size
        totals[1] += len(keys)
        totals[2] += len(values)
        require(totals[0] <= info["entry_count"], "8: more entries than announced")
        require(totals[2] <= info["value_bytes"], "8: more bytes of values than announced")

    def footer(self, body, namespace_count, totals):
        footer = Footer()
        footer.Init(body.Bytes, body.Pos)
        require(not footer.NamespacesIsNone(), "5: totals missing")
        count = footer.NamespacesLength()
        require(count == len(totals) == namespace_count, "9: number of namespaces")
        for i, expected in enumerate(totals):
            said = footer.Namespaces(i)
            require([said.Entries(), said.KeyBytes(), said.ValueBytes()] == expected, "9: totals")
        require(footer.FrameCount() == self.frames, "9: frame_count")
        require(footer.FileLength() == self.offset, "9: file_length")
        require(footer.Checksum() == self.checksums.intdigest(), "9: checksum")
        require(self.end == len(self.data), "9: bytes behind the footer")


def read_snapshot(data):
    """What the file says, as a dictionary; texts, keys and values are bytes. SnapshotError."""
    try:
        return Reader(data).read()
    except (struct.error, IndexError, TypeError) as error:
        raise SnapshotError("5: not a valid FlatBuffer: %s" % error) from error


def as_json(value):
    """With base64 in place of bytes."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in value]
    return value


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as snapshot:
        json.dump(as_json(read_snapshot(snapshot.read())), sys.stdout, indent=2)
        print()
