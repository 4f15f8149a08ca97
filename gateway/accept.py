"""The choice of a response's media type by a request's `Accept` header."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

SPELLINGS: Final[Mapping[str, str]] = {
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/mp3": "audio/mpeg",
    "audio/opus": "audio/ogg",
    "audio/x-flac": "audio/flac",
    "audio/x-aac": "audio/aac",
    "audio/l16": "audio/pcm",
    "application/srt": "application/x-subrip",
    "text/srt": "application/x-subrip",
}
"""Other names of media types, which clients send -> ours."""


def choose(header: str, offers: Sequence[str]) -> str | None:
    """Return the offer that the client prefers, by weight and then by the order of its header; None if it takes none.

    `offers` are media types, the best first. An empty header takes every one.
    """
    ranges = list(_ranges(header)) or [("*/*", 1.0)]
    best: tuple[float, int, int] | None = None
    for index, offer in enumerate(offers):
        # The most specific range counts, so that `audio/wav;q=0, audio/*` excludes one format.
        matching = [place for place, (name, _) in enumerate(ranges) if _covers(name, offer)]
        if not matching:
            continue
        place = min(matching, key=lambda place: ranges[place][0].count("*"))
        weight = ranges[place][1]
        if weight > 0 and (best is None or (-weight, place, index) < best):
            best = (-weight, place, index)
    return offers[best[2]] if best else None


def _ranges(header: str) -> Iterator[tuple[str, float]]:
    """Yield each media range of the header, and its weight."""
    for part in header.split(","):
        name, *parameters = part.split(";")
        if name := name.strip().lower():
            yield SPELLINGS.get(name, name), _weight(parameters)


def _weight(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                return float(value)
            except ValueError:
                return 1.0
    return 1.0


def _covers(name: str, offer: str) -> bool:
    return name in ("*/*", "*", offer) or (name.endswith("/*") and offer.startswith(name[:-1]))
