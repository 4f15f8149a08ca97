"""Cut a text with tags, whole or while it is written, into clauses: text, its voice, and the silence before it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Iterable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from typing import Any

from gateway.core import ssml
from gateway.core.errors import ModelUnavailable, VoiceNotFound
from gateway.core.services import Services
from gateway.core.speech_options import SPEEDS, SynthesisRequest, description_of
from gateway.core.speech_tags import PLAIN, Part, Pause, Prosody, Tag, TagReader, VoiceTag, parse
from gateway.core.spoken_text import ClauseCutter, Split
from gateway.core.synthesize import synthesize
from gateway.core.telemetry import WorkTelemetry
from gateway.core.voices.speaking import choose_voice
from tritone.errors import InvalidInput
from tritone.text_parts import PART_CHARS

_MOST_VOICES = 32
_REFERENCE = frozenset({"ref_text", "x_vector_only"})
"""Options that belong to the request's own recording."""


@dataclass(frozen=True)
class Clause:
    """A part of a text that is spoken at once; its text is empty where only silence is left."""

    text: str
    silence: float = 0.0
    """Seconds before it."""
    voice: VoiceTag | None = None
    """None: the request's own."""
    prosody: Prosody = PLAIN

    def request(self, request: SynthesisRequest) -> SynthesisRequest:
        """Return the request of this clause, in a text that `request` is of."""
        request = replace(
            request, speed=_speed(request.speed * self.prosody.speed), volume=request.volume * self.prosody.volume
        )
        if self.voice is None:
            return replace(request, text=self.text, tags=())
        options = {name: value for name, value in request.options.items() if name not in _REFERENCE}
        return replace(request, text=self.text, tags=(), voice=self.voice.name, options=options, ref_audio=None)


class TaggedCutter:
    """Takes a text in pieces of any length, and returns its clauses; a tag ends a clause."""

    def __init__(self, most: int = PART_CHARS, split: Split = "clause", tags: Collection[Tag] = ()) -> None:
        """`most`: characters of a clause. `tags`: the kinds that are no text."""
        self._reader = TagReader(tags)
        self._cutter = ClauseCutter(most, split)
        self._silence = 0.0
        self._voice: VoiceTag | None = None
        self._prosody = PLAIN

    def add(self, text: str) -> Iterator[Clause]:
        """Yield the clauses that are complete with `text`. Raises `InvalidInput` for a pause that is too long."""
        for part in self._reader.add(text):
            if isinstance(part, str):
                yield from map(self._clause, self._cutter.add(part))
                continue
            yield from map(self._clause, self._cutter.finish())
            if isinstance(part, Pause):
                self._silence += part.seconds
            elif isinstance(part, Prosody):
                self._prosody = part
            else:
                self._voice = part

    def finish(self) -> Iterator[Clause]:
        """Yield the rest."""
        yield from map(self._clause, self._cutter.add(self._reader.finish()))
        yield from map(self._clause, self._cutter.finish())
        if self._silence:
            yield self._clause("")

    def _clause(self, text: str) -> Clause:
        silence, self._silence = self._silence, 0.0
        return Clause(text, silence, self._voice, self._prosody)


def passages(text: str, tags: Collection[Tag]) -> Iterator[Clause]:
    """Yield what stands between the tags of a whole text. Raises `InvalidInput` for a pause that is too long."""
    parts = parse(text, tags)
    has_tags = not all(isinstance(part, str) for part in parts)
    words, silence, voice, prosody = "", 0.0, None, PLAIN
    for part in (*parts, Pause(0)):
        if isinstance(part, str):
            words += part
            continue
        # Between tags there may be a full stop alone.
        if any(map(str.isalnum, words)) if has_tags else words.strip():
            yield Clause(words, silence, voice, prosody)
            silence = 0.0
        words = ""
        if isinstance(part, Pause):
            silence += part.seconds
        elif isinstance(part, Prosody):
            prosody = part
        else:
            voice = part
    if silence:
        yield Clause("", silence, voice, prosody)


def clause_to_json(clause: Clause) -> dict[str, Any]:
    """Return a clause as JSON."""
    return asdict(clause)


def clause_from_json(values: Mapping[str, Any]) -> Clause:
    """Undo `clause_to_json`."""
    voice = values["voice"]
    prosody = Prosody(**values.get("prosody", {}))  # earlier versions recorded none
    return Clause(values["text"], values["silence"], VoiceTag(**voice) if voice else None, prosody)


async def clauses_of(texts: AsyncGenerator[str], cutter: TaggedCutter) -> AsyncGenerator[Clause]:
    """Yield the clauses of a text that comes in pieces, each as soon as it is complete."""
    async with aclosing(texts):
        async for text in texts:
            for clause in cutter.add(text):
                yield clause
    for clause in cutter.finish():
        yield clause


async def without_ssml(services: Services, request: SynthesisRequest) -> SynthesisRequest:
    """Return the request with its SSML as a text with tags. Raises `InvalidInput`, and as `choose_voice`."""
    if not request.tags or not ssml.is_ssml(request.text):
        return request
    try:
        pronounces = description_of((await choose_voice(services, request)).model).pronounces
    except ModelUnavailable:
        pronounces = False  # it was never loaded yet
    tags: tuple[Tag, ...] = (*request.tags, "prosody")
    document = ssml.tagged(request.text, tags, request.voice, pronounces=pronounces)
    return replace(request, text=document.text, tags=tags, ignored=document.ignored)


def spoken_parts(request: SynthesisRequest) -> list[Part]:
    """Return the parts of a whole text. Raises `InvalidInput` if there is nothing to say, and for a long pause."""
    parts = parse(request.text, request.tags)
    if not any(isinstance(part, str) and part.strip() for part in parts):
        raise InvalidInput("text", "there is nothing to synthesize")
    return parts


async def check_voices(services: Services, request: SynthesisRequest, parts: Iterable[object]) -> None:
    """Raise `InvalidInput` for a voice tag among `parts` whose voice cannot speak, or if there are too many."""
    checked: set[str] = set()
    for tag in parts:
        if not isinstance(tag, VoiceTag) or tag.name in checked:
            continue
        checked.add(tag.name)
        if len(checked) > _MOST_VOICES:
            raise InvalidInput("text", f"voice tags name over {_MOST_VOICES} voices")
        await check_voice(services, request, tag)


async def check_voice(services: Services, request: SynthesisRequest, tag: VoiceTag) -> None:
    """Raise `InvalidInput` if the tag's voice cannot speak; the model is not called."""
    try:
        await synthesize(services, Clause(".", voice=tag).request(request), WorkTelemetry("", owner=request.owner))
    except (InvalidInput, VoiceNotFound) as error:
        if isinstance(error, InvalidInput) and error.field not in ("voice", "ref_audio"):
            raise
        problem = error.problem if isinstance(error, InvalidInput) else str(error)
        raise InvalidInput("text", f"the voice tag at character {tag.position}: {problem}") from None


def _speed(speed: float) -> float:
    low, high = SPEEDS
    return min(max(speed, low), high)
