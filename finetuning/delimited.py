"""CSV as people and spreadsheets write it: with commas, semicolons, tabs or bars."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from finetuning.errors import FineTuningError

Line = tuple[int, Mapping[str, str | None]]
"""The number of a line, and its values by the names of their columns."""
_TOO_MANY = "\n"
"""Stands for the name of the values after the last column."""


def read(path: Path, text: str) -> tuple[Sequence[str], list[Line]]:
    """Return the columns and the lines of the content of `path`; raises `FineTuningError` with the line of a fault."""
    mark = max(",;\t|", key=text.partition("\n")[0].count)
    reader = csv.DictReader(
        io.StringIO(text),
        delimiter=mark,
        quoting=csv.QUOTE_NONE if mark == "|" else csv.QUOTE_MINIMAL,  # LJSpeech writes quotation marks as they are
        restkey=_TOO_MANY,
        strict=True,
    )
    columns: Sequence[str] = reader.fieldnames or ()
    lines: list[Line] = []
    number = reader.line_num + 1
    try:
        for line in reader:
            if any(line.pop(_TOO_MANY, ())):
                raise FineTuningError(
                    f"{path}, line {number} has more than {len(columns)} values: put a text that has {mark!r} in it "
                    "between quotation marks"
                )
            lines.append((number, line))
            number = reader.line_num + 1
    except csv.Error as error:
        raise FineTuningError(
            f"{path}, from line {number}: {error}: close quotation marks, and write one within a text twice"
        ) from None
    return columns, lines
