"""MP4 (ISO/IEC 14496-12): is the file whole, does it describe no more than it can hold, and nothing in it but audio.

FFmpeg looks for tables in every box that it knows as a container, in compressed headers, and wherever a fragment index
points; and it believes their counts: 5 KB that describe fifty million packets made it allocate 1.8 GB (measured). So it
is never shown the file as it came. What sound needs is kept, box by box and parent by parent; every other box (tags,
cover art, chapters, fragment indexes, the tables of video tracks) becomes a `free` box of zeros of the same size, so
that all offsets stay true. What is kept is counted.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.errors import CorruptAudio, UnsupportedAudio

_FILE = b""
"""Name of the parent of the outermost boxes."""
_KEPT: dict[bytes, tuple[bytes, ...]] = {
    _FILE: (b"ftyp", b"moov", b"moof", b"mdat"),
    b"moov": (b"mvhd", b"trak", b"mvex"),
    b"mvex": (b"trex",),
    b"trak": (b"tkhd", b"edts", b"mdia"),
    b"edts": (b"elst",),
    b"mdia": (b"mdhd", b"hdlr", b"minf"),
    b"minf": (b"stbl",),
    b"stbl": (b"stsd", b"stts", b"ctts", b"stsc", b"stsz", b"stz2", b"stco", b"co64"),
    b"mp4a": (b"esds", b"wave"),
    b"wave": (b"esds",),
    b"moof": (b"traf",),
    b"traf": (b"tfhd", b"tfdt", b"trun"),
}
"""Parent -> what is kept in it."""
_REPEATED = (b"trak", b"trex", b"moof", b"mdat", b"traf", b"trun")
"""What may stand more than once in its parent. Of everything else the first counts, here as for FFmpeg."""
_TABLES = (*_KEPT[b"stbl"], b"trun")

_MAX_BOXES = 100_000
_MAX_PACKETS = 1_000_000
"""Forty times what two minutes of the shortest AAC frames need; an index of 50 MB."""

_ENTRY_BYTES = 36
"""An audio sample entry up to its first child, for version 0; versions 1 and 2 (QuickTime) have more."""
_MORE_ENTRY_BYTES = {1: 16, 2: 36}


@dataclass(frozen=True)
class _Box:
    """The box at `start`; its content is [content, stop)."""

    name: bytes
    start: int
    content: int
    stop: int


_Children = dict[bytes, _Box]
"""The first of the children of each name."""


def sound_of_mp4(data: bytes) -> bytes:
    """The file, as long as it was, with everything blanked that is not needed to decode its sound.

    Raises CorruptAudio where a box ends outside the file or its parent, a table stands where it does not belong, or the
    tables describe too much; UnsupportedAudio for a compressed header.
    """
    return _Reader(data).cleaned()


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = bytearray(data)
        self._n_boxes = 0
        self._n_packets = 0
        self._n_tracks = 0
        self._n_fragments = 0
        self._n_edits, self._n_described = 1, 0  # of the track that is being read

    def cleaned(self) -> bytes:
        self._clean(_FILE, 0, len(self._data))
        # FFmpeg keeps a record of every track for every fragment.
        self._count(self._n_tracks * self._n_fragments)
        return bytes(self._data)

    def _clean(self, parent: bytes, start: int, end: int) -> _Children:
        """Keeps and counts what belongs into `parent`, blanks the rest, and returns what it kept."""
        children: _Children = {}
        while start + 8 <= end:
            box = self._box(start, end)
            start = box.stop
            if box.name == b"cmov":
                raise UnsupportedAudio(
                    "The M4A file's header is compressed ('cmov'), which is not read; save it anew with a plain one."
                )
            if box.name in _TABLES and box.name not in _KEPT[parent]:
                raise CorruptAudio(
                    f"The M4A file is damaged: its table {_text(box.name)} at byte {box.start} stands in "
                    f"{_text(parent) if parent else 'no box'}, where none belongs. Export it anew."
                )
            if box.name not in _KEPT[parent] or (box.name in children and box.name not in _REPEATED):
                self._blank(box)
            elif box.name == b"minf" and not self._is_audio(children):
                self._blank(box)  # FFmpeg still says what the track was: a video, for one
            else:
                self._keep(box)
                children.setdefault(box.name, box)
        return children

    def _keep(self, box: _Box) -> None:
        if box.name == b"stsd":
            self._clean_descriptions(box)
        elif box.name == b"trun":
            self._count(self._uint32(box, 4))
        elif box.name == b"elst":
            self._n_edits = max(1, (box.stop - box.content) // 12)
        elif box.name == b"trak":
            self._n_tracks += 1
            self._n_edits, self._n_described = 1, 0
            self._clean(box.name, box.content, box.stop)
            self._count(self._n_edits * self._n_described)  # every edit may show the whole track once more
        elif box.name in _KEPT:
            self._n_fragments += box.name == b"moof"
            children = self._clean(box.name, box.content, box.stop)
            if box.name == b"stbl":
                self._n_described = self._described_by(children)

    def _is_audio(self, media: _Children) -> bool:
        """Whether the handler, which stands in front of what it handles, is that of sound."""
        handler = media.get(b"hdlr")
        return handler is not None and self._data[handler.content + 8 : handler.stop][:4] == b"soun"

    def _clean_descriptions(self, stsd: _Box) -> None:
        """FFmpeg reads any box behind the fixed part of a sample entry, so only a codec's own are left there."""
        version, n_entries = self._data[stsd.content] if stsd.stop > stsd.content else 0, self._uint32(stsd, 4)
        if version:
            raise UnsupportedAudio(
                f"The M4A file describes its samples in version {version}, and only 0 is read; export it anew as AAC."
            )
        start = stsd.content + 8
        for _ in range(n_entries):
            if start + _ENTRY_BYTES > stsd.stop:
                raise CorruptAudio(
                    f"The M4A file is damaged: it states {n_entries} sample descriptions and ends inside one; "
                    "send it again."
                )
            entry = self._box(start, stsd.stop)
            (entry_version,) = struct.unpack_from(">H", self._data, entry.start + 16)
            children = entry.start + _ENTRY_BYTES + _MORE_ENTRY_BYTES.get(entry_version, 0)
            if entry.name == b"mp4a":
                self._clean(entry.name, children, entry.stop)
            elif children < entry.stop:
                self._data[children : entry.stop] = bytes(entry.stop - children)
            start = entry.stop

    # --- counting -----------------------------------------------------------------------------------------------------

    def _described_by(self, tables: _Children) -> int:
        """How many packets the tables of one track describe: each of them makes FFmpeg's index as long as it says."""
        n_sizes = sum(self._uint32(tables[name], 8) for name in (b"stsz", b"stz2") if name in tables)
        n_times = sum(int(self._rows(tables, name, 2)[:, 0].sum()) for name in (b"stts", b"ctts"))
        n_chunks = sum(len(self._rows(tables, name, columns)) for name, columns in ((b"stco", 1), (b"co64", 2)))
        first, n_a_chunk, _ = self._rows(tables, b"stsc", 3).T
        runs = np.diff(first, append=n_chunks + 1)
        if len(runs) and (first[0] < 1 or runs.min() < 0):
            raise CorruptAudio("The M4A file is damaged: its chunks are not in order; export it anew.")
        return max(n_sizes, n_times, int((runs * n_a_chunk).sum()))

    def _rows(self, tables: _Children, name: bytes, n_columns: int) -> NDArray[np.int64]:
        """A table's rows, (n_rows, n_columns); none where there is no table."""
        if name not in tables:
            return np.zeros((0, n_columns), dtype=np.int64)
        table = tables[name]
        n_rows, start = self._uint32(table, 4), table.content + 8
        stop = start + 4 * n_columns * n_rows
        if stop > table.stop:
            raise CorruptAudio(
                f"The M4A file is damaged: its table {_text(name)} states {n_rows} rows and has room for "
                f"{(table.stop - start) // (4 * n_columns)}; send it again."
            )
        return np.frombuffer(bytes(self._data[start:stop]), dtype=">u4").astype(np.int64).reshape(-1, n_columns)

    def _uint32(self, box: _Box, offset: int) -> int:
        at = box.content + offset
        if at + 4 > box.stop:
            raise CorruptAudio(f"The M4A file is damaged: its part {_text(box.name)} is too short; send it again.")
        return int.from_bytes(self._data[at : at + 4], "big")

    def _count(self, n_packets: int) -> None:
        self._n_packets += n_packets
        if self._n_packets > _MAX_PACKETS:
            raise CorruptAudio(f"The M4A file describes {self._n_packets} packets; at most {_MAX_PACKETS} are read.")

    # --- boxes --------------------------------------------------------------------------------------------------------

    def _box(self, start: int, end: int) -> _Box:
        """The box at `start`, in a parent that ends at `end`."""
        self._n_boxes += 1
        if self._n_boxes > _MAX_BOXES:
            raise CorruptAudio(f"The M4A file has more than {_MAX_BOXES} parts; encode it anew.")
        size, name = struct.unpack_from(">I4s", self._data, start)
        n_header_bytes = 8
        if size == 1 and start + 16 <= end:
            (size,) = struct.unpack_from(">Q", self._data, start + 8)
            n_header_bytes = 16
        elif size == 0:
            size = end - start  # the last box of a parent may leave its size open
        if size < n_header_bytes:
            raise CorruptAudio(
                f"The M4A file is damaged: its part {_text(name)} at byte {start} states {size} bytes; send it again."
            )
        if start + size > end:
            raise CorruptAudio(
                f"The M4A file is cut off or damaged: its part {_text(name)} at byte {start} states {size} bytes and "
                f"{end - start} are there; send it whole."
            )
        return _Box(name, start, start + n_header_bytes, start + size)

    def _blank(self, box: _Box) -> None:
        self._data[box.start + 4 : box.start + 8] = b"free"
        self._data[box.content : box.stop] = bytes(box.stop - box.content)


def _text(name: bytes) -> str:
    return repr(name.decode("latin-1"))
