"""The golden files through the independent reader, whole and damaged.

    python test_read_snapshot.py FOLDER
"""

import json
import pathlib
import struct
import sys
import unittest

import xxhash

from read_snapshot import SnapshotError, as_json, read_snapshot

FOLDER = pathlib.Path(sys.argv.pop(1))
# Enough places in every file, and every place in the small ones.
MOST_DAMAGES = 120


def golden_files():
    return sorted(FOLDER.glob("*.rkvs"))


def places(size):
    return range(0, size, 1 + size // MOST_DAMAGES)


def sealed(data, edit):
    """The file with another header in its first frame, and a checksum that is right for it."""
    length = struct.unpack_from("<Q", data, 16)[0]
    frame = bytearray(data[: 32 + length])
    edit(frame)
    digest = xxhash.xxh3_64(bytes(frame[:24]) + bytes(frame[32:])).intdigest()
    struct.pack_into("<Q", frame, 24, digest)
    return bytes(frame) + data[32 + length :]


class GoldenFiles(unittest.TestCase):
    def refuse(self, data, rule=""):
        with self.assertRaises(SnapshotError) as caught:
            read_snapshot(data)
        self.assertTrue(str(caught.exception).startswith(rule), str(caught.exception))

    def test_there_are_some(self):
        self.assertGreaterEqual(len(golden_files()), 12)

    def test_each_holds_what_its_json_says(self):
        for path in golden_files():
            with self.subTest(path.name):
                expected = json.loads(path.with_suffix(".json").read_text())
                self.assertEqual(as_json(read_snapshot(path.read_bytes())), expected)

    def test_truncated_files_are_refused(self):
        for path in golden_files():
            data = path.read_bytes()
            for size in places(len(data)):
                with self.subTest(path.name, size=size):
                    self.refuse(data[:size])

    def test_flipped_bits_are_refused(self):
        for path in golden_files():
            data = path.read_bytes()
            for place in places(len(data)):
                damaged = bytearray(data)
                damaged[place] ^= 1 << place % 8
                with self.subTest(path.name, place=place):
                    self.refuse(bytes(damaged))

    def test_bytes_behind_the_end_are_refused(self):
        for path in golden_files():
            self.refuse(path.read_bytes() + bytes(8), "9")

    def test_frames_of_another_version_are_refused_though_their_checksums_are_right(self):
        data = (FOLDER / "empty_store.rkvs").read_bytes()
        # Kind, flags, reserved.
        for offset, size in ((4, "<H"), (6, "<H"), (12, "<I")):
            self.refuse(sealed(data, lambda frame: struct.pack_into(size, frame, offset, 9)), "4")

    def test_a_header_that_was_changed_and_sealed_is_found_by_the_footer(self):
        data = (FOLDER / "empty_store.rkvs").read_bytes()
        version = data.index(b"0.9.0")

        def edit(frame):
            frame[version] = ord("1")

        self.refuse(sealed(data, edit), "9: checksum")


if __name__ == "__main__":
    unittest.main()
