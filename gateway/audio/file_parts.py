"""Find the audio in a file: behind a tag or junk, or in one part after the other."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO, Final

_MAGIC: Final = re.compile(
    rb"(?:RIFF|RF64)....(?:WAVE|AVI )|OggS\x00|fLaC\x00|FORM....AIF[FC]|....ftyp|\x1a\x45\xdf\xa3|caff\x00\x01"
    rb"|\.snd\x00\x00|FLV\x01|wvpk|TTA1|#!AMR|riff\x2e\x91\xcf\x11|\x30\x26\xb2\x75\x8e\x66\xcf\x11",
    re.DOTALL,
)
"""The first bytes of containers that FFmpeg recognizes at a file's start only."""
_MAGIC_BYTES: Final = 16
_JUNK: Final = 256 * 1024
"""Bytes in front of the audio that are searched for its start."""
_MOST_STARTS: Final = 8
_MOST_TAGS: Final = 16
_PAGE_HEADER: Final = 27
_FIRST_PAGE: Final = 2
"""The flag of an Ogg page that begins a stream."""


class FilePart:
    """The bytes of `file` from `start` up to `end`, or to the file's end, as a file of its own."""

    def __init__(self, file: BinaryIO, start: int = 0, end: int | None = None) -> None:
        self._file = file
        self._start = start
        self._end = end
        file.seek(start)

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes."""
        if self._end is not None:
            left = max(0, self._end - self._file.tell())
            size = left if size < 0 else min(size, left)
        return self._file.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position of this part."""
        if whence == os.SEEK_SET:
            offset += self._start
        elif whence == os.SEEK_END and self._end is not None:
            offset, whence = offset + self._end, os.SEEK_SET
        return self._file.seek(offset, whence) - self._start

    def tell(self) -> int:
        """Return the position in this part."""
        return self._file.tell() - self._start


def starts(file: BinaryIO) -> Iterator[int]:
    """Yield the positions at which the audio of `file` may begin, the likeliest first: behind tags, or behind junk."""
    tagged = _behind_tags(file)
    file.seek(tagged)
    is_magic = _MAGIC.match(file.read(_MAGIC_BYTES))
    likely = dict.fromkeys((tagged, 0) if is_magic else (0, tagged))
    yield from likely
    # The search takes milliseconds, and few files need it.
    file.seek(tagged)
    found = (tagged + match.start() for match in islice(_MAGIC.finditer(file.read(_JUNK)), _MOST_STARTS))
    yield from (start for start in found if start not in likely)


def parts_from(file: BinaryIO, start: int) -> Iterator[FilePart]:
    """Yield the part of `file` from `start` on; of a chained Ogg file each link, which has headers of its own.

    FFmpeg would decode the second link with the first one's state, or not at all.
    """
    link: int | None = start
    while link is not None:
        end = _end_of_link(file, link)
        yield FilePart(file, link, end)
        link = end


def _end_of_link(file: BinaryIO, start: int) -> int | None:
    """Return the position of the next link's first page; None if there is none, or the file is not Ogg."""
    position, in_headers = start, True
    while True:
        file.seek(position)
        header = file.read(_PAGE_HEADER)
        if len(header) < _PAGE_HEADER or header[:4] != b"OggS":
            return None
        if not header[5] & _FIRST_PAGE:
            in_headers = False
        elif not in_headers:
            return position
        position += _PAGE_HEADER + header[26] + sum(file.read(header[26]))


def _behind_tags(file: BinaryIO) -> int:
    """Return the position behind the ID3v2 tags at the file's start; behind a header whose size is forged."""
    size = file.seek(0, os.SEEK_END)
    position = 0
    for _ in range(_MOST_TAGS):
        file.seek(position)
        header = file.read(10)
        if len(header) < 10 or header[:3] != b"ID3":
            break
        length = 0
        for byte in header[6:10]:
            length = length << 7 | byte & 0x7F
        end = position + 10 + length + (10 if header[5] & 0x10 else 0)
        position = end if end < size else position + 10
    return position
