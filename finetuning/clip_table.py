"""The clips of a project as a CSV file, which people read and correct."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from finetuning import delimited
from finetuning.errors import FineTuningError
from tritone.whole_file import write_text


@dataclass(frozen=True)
class Row:
    """A clip."""

    audio: str
    """Its file, relative to the project's folder."""
    text: str
    """The words as they are spoken."""
    speaker: str
    language: str = ""
    """An ISO code, a dialect of the checkpoint such as `sichuan_dialect`, or empty for `auto`."""
    instruct: str = ""
    """How it is spoken."""
    recording: str = ""
    """The name of the recording that it was cut from."""
    start: float = 0.0
    """Seconds from the recording's start."""
    seconds: float = 0.0
    """Its length."""
    rate: int = 0
    """The recording's sample rate in Hz."""
    confidence: float | None = None
    """The transcript's mean probability of a token, 0 to 1; None where the text was given."""
    heard: str = ""
    """The language that the transcription model detected."""
    ref_audio: str = ""
    """The recording that alone gives the speaker's embedding; empty: all clips do."""

    @property
    def id(self) -> str:
        """The clip's name."""
        return Path(self.audio).stem


def read(path: Path) -> list[Row]:
    """Read a table; raises `FineTuningError` with the line for one that cannot be used."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # spreadsheets write a mark at the start
    except FileNotFoundError:
        raise FineTuningError(f"{path} is missing: run scripts/finetune prepare first") from None
    except UnicodeDecodeError:
        raise FineTuningError(f"{path} is not in UTF-8: save it as CSV in UTF-8") from None
    columns, lines = delimited.read(path, text)
    missing = {"audio", "text"} - set(columns)
    if missing:
        raise FineTuningError(f"{path} has no column {min(missing)}: keep the first line as it was")
    rows = [_row(path, number, line) for number, line in lines]
    names = [row.id for row in rows]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise FineTuningError(f"{path} has the clip {twice} twice: delete one of its lines")
    return rows


def write(path: Path, rows: Iterable[Row]) -> None:
    """Replace the table."""
    out = io.StringIO()
    table = csv.DictWriter(out, [field.name for field in fields(Row)], lineterminator="\n")
    table.writeheader()
    table.writerows({**asdict(row), "confidence": "" if row.confidence is None else row.confidence} for row in rows)
    write_text(path, out.getvalue())


def _row(path: Path, number: int, line: Mapping[str, str | None]) -> Row:
    given = {field.name: (line.get(field.name) or "").strip() for field in fields(Row)}
    try:
        return Row(
            **{name: given[name] for name in ("audio", "text", "language", "instruct", "recording", "heard")},
            speaker=given["speaker"].lower(),
            ref_audio=given["ref_audio"],
            start=float(given["start"] or 0),
            seconds=float(given["seconds"] or 0),
            rate=int(given["rate"] or 0),
            confidence=float(given["confidence"]) if given["confidence"] else None,
        )
    except ValueError as error:
        raise FineTuningError(f"{path}, line {number}: {error}: restore the number, or run prepare again") from None
