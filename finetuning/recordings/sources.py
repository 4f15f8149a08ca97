"""What the user's recordings are: a folder, one file, or a list of clips in CSV or JSONL."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from finetuning import delimited
from finetuning.errors import FineTuningError

SUFFIXES: Final = frozenset(
    f".{name}"
    for name in "aac aif aiff au caf flac m4a m4b mka mkv mov mp3 mp4 oga ogg opus wav wave webm wma".split()  # noqa: SIM905
)
_KNOWN: Final = ("audio", "text", "speaker", "language", "instruct", "ref_audio")


@dataclass(frozen=True)
class Source:
    """A recording; with a text it is a clip, and is not cut."""

    audio: Path
    text: str | None = None
    speaker: str = ""
    language: str = ""
    instruct: str = ""
    ref_audio: Path | None = None


def find(recordings: Path) -> list[Source]:
    """Return the recordings that a path stands for.

    A folder stands for all audio files below it; `.csv` has a header with `audio` and `text`, or lines `file|text`;
    `.jsonl` is that of the published fine-tuning: `audio`, `text`, `ref_audio`. Raises `FineTuningError`.
    """
    if recordings.is_dir():
        found = [Source(path) for path in sorted(recordings.rglob("*")) if path.suffix.lower() in SUFFIXES]
        if not found:
            raise FineTuningError(f"{recordings} has no audio file: put wav, flac, mp3, m4a or ogg files there")
        return found
    if not recordings.exists():
        raise FineTuningError(f"{recordings} does not exist: name a folder of recordings, or a CSV or JSONL file")
    if recordings.suffix.lower() in (".jsonl", ".csv", ".txt", ".list"):
        read = _jsonl if recordings.suffix.lower() == ".jsonl" else _csv
        found = [_source(recordings, number, line) for number, line in read(recordings)]
        if not found:
            raise FineTuningError(f"{recordings} has no line with a clip")
        return found
    return [Source(recordings)]


def _jsonl(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, text in enumerate(_text(path).split("\n"), 1):  # JSON may have other ends of lines in it
        if text.strip():
            try:
                line = json.loads(text)
            except ValueError as error:
                raise FineTuningError(f"{path}, line {number} is not JSON ({error}): write one object a line") from None
            if not isinstance(line, dict):
                raise FineTuningError(f"{path}, line {number} is not a JSON object with `audio` and `text`")
            yield number, line


def _csv(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    text = _text(path)
    first = text.partition("\n")[0]
    if "|" in first and "audio" not in first.split("|"):  # as piper and LJSpeech have it
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                audio, *texts = line.split("|")
                yield number, {"audio": audio, "text": texts[-1] if texts else ""}
        return
    columns, lines = delimited.read(path, text)
    if not {"audio", "text"} <= set(columns):
        raise FineTuningError(f"{path}: begin it with the line `audio,text`, or write lines `file|text`")
    yield from lines


def _source(path: Path, number: int, line: Mapping[str, Any]) -> Source:
    where = f"{path}, line {number}"
    for key in _KNOWN:
        if not isinstance(line.get(key), str | None):
            raise FineTuningError(f"{where}: `{key}` is {line[key]!r}: write a text")
    given = {key: (line.get(key) or "").strip() for key in _KNOWN}
    if not given["audio"]:
        raise FineTuningError(f"{where} has no `audio`: name the clip's file")
    if not given["text"]:
        raise FineTuningError(f"{where} has no `text`: write the words of {given['audio']}, or remove the line")
    reference = _file(path, where, given["ref_audio"]) if given["ref_audio"] else None
    return Source(
        _file(path, where, given["audio"]),
        given["text"],
        given["speaker"].lower(),
        given["language"],
        given["instruct"],
        reference,
    )


def _file(path: Path, where: str, name: str) -> Path:
    """Return the file that a line names: relative to the list's folder, or to the folder of the call."""
    candidates = [base / Path(name).expanduser() for base in (path.parent, path.parent / "wavs", Path())]
    candidates += [candidate.with_name(f"{candidate.name}.wav") for candidate in candidates]
    found = next((candidate for candidate in candidates if candidate.is_file()), None)
    if found is None:
        raise FineTuningError(f"{where}: {candidates[0]} is missing: correct the path, or remove the line")
    return found.resolve()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise FineTuningError(f"{path} is not in UTF-8: save it in UTF-8") from None
