"""The delay pattern: codebook k of a frame is drawn k steps after codebook 0, one column of codes a step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from adapters.zonos.checkpoint import CODEBOOKS

_LAG: Final = CODEBOOKS - 1


class DelayPattern:
    """The columns of one text, from the first drawn one on.

    Codebook 0 may draw `end`. The other codebooks then complete the frames before it, and draw nothing more.
    """

    def __init__(self, end: int, mask: int) -> None:
        self._end = end
        self._mask = mask
        self._columns: list[list[int]] = []
        self._ended: int | None = None
        """The column with the end of codebook 0."""

    @property
    def start(self) -> list[int]:
        """The column before the first one."""
        return [self._mask] * CODEBOOKS

    def place(self, drawn: Sequence[int]) -> list[int]:
        """Return the column that stands for the drawn codes (codebooks,), the input of the next step."""
        number = len(self._columns)
        if self._ended is None and drawn[0] == self._end:
            self._ended = number
        past = -1 if self._ended is None else number - self._ended
        column = []
        for book, code in enumerate(drawn):
            if book > number or book < past:
                column.append(self._mask)
            else:
                column.append(self._end if book == past else code)
        self._columns.append(column)
        return column

    @property
    def frames(self) -> int:
        """The number of complete frames."""
        complete = max(0, len(self._columns) - _LAG)
        return complete if self._ended is None else min(complete, self._ended)

    @property
    def is_over(self) -> bool:
        """True if all frames before the end are complete."""
        return self._ended is not None and self.frames == self._ended

    def codes(self, start: int, stop: int) -> list[list[int]]:
        """Return the codes of complete frames, (stop - start, codebooks)."""
        return [[self._columns[frame + book][book] for book in range(CODEBOOKS)] for frame in range(start, stop)]
