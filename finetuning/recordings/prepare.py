"""The step `prepare`: recordings into clips with texts, and a table of them to proof-read.

What is found in a recording is kept in a file of its own as soon as it is complete, so that a stopped step goes on
with the next recording. The table has the last word on texts: lines that are there are never written again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final

from finetuning import clip_table
from finetuning.clip_table import Row
from finetuning.errors import FineTuningError
from finetuning.progress import Progress, duration, say
from finetuning.project import Project
from finetuning.recordings import sources
from finetuning.recordings.audio import Recording, trimmed
from finetuning.recordings.sources import Source
from finetuning.recordings.transcripts import Text, Transcripts
from finetuning.wav import Samples, write_wav
from tritone import vad
from tritone.contract import SPEECH_RATE
from tritone.languages import code_of, is_auto
from tritone.whole_file import write_text

_LEAST_SECONDS: Final = 0.5
"""Shorter parts of a recording are dropped: a cough, a click."""
_TOGETHER: Final = 16
"""Clips that are held in memory at once."""
Advance = Callable[[float], None]
"""Counts a share of a recording as done."""
_MERGED: Final = "in_the_table.json"
"""The keys of the recordings whose clips are in the table, or were there before the user deleted them."""


@dataclass(frozen=True)
class Found:
    """A recording, and the name that its content and the options give it."""

    source: Source
    key: str
    bytes: int


class Preparation:
    """The preparation of one project."""

    def __init__(self, project: Project, whisper: str) -> None:
        """`whisper`: the folder of the transcription model below MODEL_DIR."""
        self._project = project
        self._whisper = whisper
        self._language = _code(project.options.language)
        self._references: dict[Path, str] = {}
        """A file of `ref_audio` -> its clip, relative to the project's folder."""

    @cached_property
    def _transcripts(self) -> Transcripts:
        return Transcripts(self._project.model_dir, self._whisper)

    @cached_property
    def _vad(self) -> object:
        try:
            return vad.load(self._project.model_dir)
        except vad.MissingWeightsError as error:
            raise FineTuningError(str(error)) from None

    def run(self) -> list[Row]:
        """Return the rows of the table. Raises `FineTuningError`."""
        project = self._project
        recordings = Path(project.options.recordings)
        found = [self._identify(source) for source in sources.find(recordings)]
        project.clips.mkdir(parents=True, exist_ok=True)
        progress = Progress("prepare", sum(each.bytes for each in found))
        rows: dict[str, list[Row]] = {}
        for each in found:
            known = self._known(each)
            if known is None:
                rows[each.key] = self._take_in(each, progress)
            else:
                rows[each.key] = known
                progress.advance(each.bytes, worked=False)
        table = self._merged(rows)
        if not table:
            raise FineTuningError(f"no speech was found in {recordings}: check the recordings' level and content")
        clip_table.write(project.table, table)
        write_text(project.clips / _MERGED, json.dumps(sorted(rows)))
        self._remove_others(rows)
        total = sum(row.seconds for row in table)
        say(f"prepare: {len(table)} clips, {duration(total)} of speech, from {len(rows)} recordings")
        say(f"prepare: proof-read the texts in {project.table}, and delete lines that are not to be learned")
        return table

    def _identify(self, source: Source) -> Found:
        try:
            with source.audio.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256")
            size = source.audio.stat().st_size
        except OSError as error:
            raise FineTuningError(f"{source.audio} cannot be read ({error.strerror}): correct or remove it") from None
        options = self._project.options
        given = [source.text, source.speaker, source.language, source.instruct, str(source.ref_audio or "")]
        made = [self._language, self._whisper, options.clip_seconds] if source.text is None else []
        digest.update(json.dumps([self._project.speaker, *given, *made]).encode())
        slug = re.sub(r"[^\w-]+", "-", source.audio.stem).strip("-")[:40] or "clip"
        return Found(source, f"{slug}-{digest.hexdigest()[:8]}", size)

    def _known(self, found: Found) -> list[Row] | None:
        """Return the rows of a recording that an earlier run took in; None if there was none."""
        try:
            lines = json.loads(self._notes(found.key).read_text(encoding="utf-8"))
            rows = [Row(**line) for line in lines]
        except (OSError, ValueError, TypeError):
            return None
        files = [name for row in rows for name in (row.audio, row.ref_audio) if name]
        return rows if all((self._project.folder / name).exists() for name in files) else None

    def _take_in(self, found: Found, progress: Progress) -> list[Row]:
        """Write the clips of a recording, and then the notes that make them count."""

        def advance(share: float) -> None:
            progress.advance(found.bytes * share)

        rows = list(self._given(found, advance) if found.source.text is not None else self._cut(found, advance))
        write_text(self._notes(found.key), json.dumps([asdict(row) for row in rows], ensure_ascii=False))
        return rows

    def _given(self, found: Found, advance: Advance) -> Iterator[Row]:
        source = found.source
        recording = Recording(source.audio)
        samples, _ = trimmed(recording.samples())
        row = self._row(found, 0, samples, recording.rate, 0.0)
        yield replace(row, text=" ".join((source.text or "").split()), language=_code(source.language) or row.language)
        advance(1.0)

    def _cut(self, found: Found, advance: Advance) -> Iterator[Row]:
        recording = Recording(found.source.audio)
        cuts = recording.cuts(vad.Vad(self._vad), self._project.options.clip_seconds)
        parts = recording.parts(cuts)
        for first in range(0, len(cuts), _TOGETHER):
            group = cuts[first : first + _TOGETHER]
            clips = []
            for cut, part in zip(group, parts, strict=False):  # `parts` goes on in the next group
                samples, dropped = trimmed(part)
                if len(samples) >= _LEAST_SECONDS * SPEECH_RATE:
                    clips.append((cut.start + dropped / SPEECH_RATE, samples))
            yield from self._transcribed(found, recording.rate, clips, first)
            advance(len(group) / len(cuts))
        if not cuts:
            advance(1.0)

    def _transcribed(
        self, found: Found, rate: int, parts: Sequence[tuple[float, Samples]], first: int
    ) -> Iterator[Row]:
        texts = self._transcripts.of([samples for _, samples in parts], self._language) if parts else iter(())
        for number, ((start, samples), text) in enumerate(zip(parts, texts, strict=True), first):
            if text.text:
                yield _with_text(self._row(found, number, samples, rate, start), text)

    def _row(self, found: Found, number: int, samples: Samples, rate: int, start: float) -> Row:
        """Write a clip's audio, and return its row without a text."""
        path = self._project.clips / f"{found.key}-{number:04}.wav"
        write_wav(path, samples)
        source = found.source
        return Row(
            audio=str(path.relative_to(self._project.folder)),
            text="",
            speaker=source.speaker or self._project.speaker,
            language=self._language,
            instruct=source.instruct,
            recording=source.audio.name,
            start=round(start, 2),
            seconds=round(len(samples) / SPEECH_RATE, 2),
            rate=rate,
            ref_audio=self._reference(source.ref_audio) if source.ref_audio else "",
        )

    def _reference(self, audio: Path) -> str:
        """Write the recording that gives a speaker's embedding as a clip, once, and return its path."""
        if audio not in self._references:
            samples, _ = trimmed(Recording(audio).samples())
            path = self._project.clips / f"ref-{hashlib.sha256(samples.tobytes()).hexdigest()[:12]}.wav"
            write_wav(path, samples)
            self._references[audio] = str(path.relative_to(self._project.folder))
        return self._references[audio]

    def _merged(self, found: dict[str, list[Row]]) -> list[Row]:
        """Return the table's rows: those that it has, as the user left them, and those of new recordings."""
        table = self._project.table
        had = clip_table.read(table) if table.exists() else []
        merged: set[str] = set()
        if had:
            with suppress(OSError, ValueError):
                merged = set(json.loads((self._project.clips / _MERGED).read_text(encoding="utf-8")))
        of_recordings = {row.id for rows in found.values() for row in rows}
        kept = [row for row in had if row.id in of_recordings]
        if len(kept) < len(had):
            before = table.with_suffix(".before.csv")
            clip_table.write(before, had)
            say(f"prepare: {len(had) - len(kept)} clips are of other recordings or options; the old table is {before}")
        known = {row.id for row in kept}
        new = [row for key, rows in found.items() if key not in merged for row in rows if row.id not in known]
        return kept + new

    def _remove_others(self, found: dict[str, list[Row]]) -> None:
        """Remove the clips of recordings that are gone, and the remains of a stopped run."""
        kept = {Path(row.audio).name for rows in found.values() for row in rows}
        kept |= {Path(row.ref_audio).name for rows in found.values() for row in rows if row.ref_audio}
        kept |= {self._notes(key).name for key in found} | {_MERGED}
        for path in self._project.clips.iterdir():
            if path.name not in kept:
                path.unlink()

    def _notes(self, key: str) -> Path:
        return self._project.clips / f"{key}.json"


def _with_text(row: Row, text: Text) -> Row:
    return replace(
        row, text=text.text, language=row.language or text.language, confidence=text.confidence, heard=text.language
    )


def _code(language: str) -> str:
    """Return the code of a language, or the word as it is for a dialect of the checkpoint."""
    if is_auto(language):
        return ""
    return code_of(language) or language.strip().lower()
