"""Clients that speak, transcribe, cancel, read slowly and send damaged files, and what they got."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import httpx

from benchmarks.faults.media import FORMATS, damaged, recording
from benchmarks.faults.outages import Outages

SENTENCES: Final = (
    "Good morning.",
    "The library closes at nine tonight.",
    "She bought four apples, two pears and a melon at the market.",
)
DEADLINE: Final = 120.0
"""Seconds; a request that takes longer hangs."""
_PROBE_DEADLINE: Final = 60.0
"""Seconds; on a machine with much else to do, a short sentence has taken ten."""
_PAUSE: Final = 0.05
_SPEECH: Final = {"model": "kokoro-82m", "voice": "af_heart", "response_format": "pcm"}


@dataclass
class Counts:
    """What became of the requests."""

    answered: Counter[str] = field(default_factory=Counter)
    failed_in_outage: int = 0
    lost: list[str] = field(default_factory=list)
    hung: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


class Traffic:
    """The clients of one server. `learn` the right answers, then run any number of `client`s until cancelled."""

    def __init__(self, http: httpx.AsyncClient, outages: Outages, seed: int) -> None:
        self.counts = Counts()
        self._http = http
        self._outages = outages
        self._chance = random.Random(seed)
        self._bytes: dict[str, int] = {}
        self._uploads: dict[str, bytes] = {}
        self._texts: dict[str, str] = {}
        self._clean = [recording(container) for container in FORMATS]

    async def learn(self) -> None:
        """Get the right answers from the undisturbed server."""
        for sentence in SENTENCES:
            self._bytes[sentence] = len(await self._speak(sentence))
            wav = {**_SPEECH, "input": sentence, "response_format": "wav"}
            answer = await self._http.post("/v1/audio/speech", json=wav)
            self._uploads[sentence] = answer.raise_for_status().content
            self._texts[sentence] = await self._transcribe(self._uploads[sentence])

    async def client(self) -> None:
        """Send one request after the other."""
        kinds = [self._speech] * 8 + [self._transcription] * 6 + [self._cancel] * 3 + [self._slow] + [self._hostile] * 2
        while True:
            work = self._chance.choice(kinds)
            name = work.__name__.strip("_")
            began = time.monotonic()
            try:
                async with asyncio.timeout(DEADLINE):
                    await work()
            except TimeoutError:
                self.counts.hung.append(f"{name}: no end in {DEADLINE:g} s")
            except (httpx.HTTPError, OSError) as error:
                self._failed(name, began, error)
            else:
                self.counts.answered[name] += 1
            await asyncio.sleep(_PAUSE)

    async def probe(self) -> bool:
        """Return whether the server speaks and transcribes."""
        sentence = SENTENCES[0]
        try:
            async with asyncio.timeout(_PROBE_DEADLINE):
                await self._speak(sentence)
                await self._transcribe(self._uploads[sentence])
        except (httpx.HTTPError, OSError, TimeoutError):
            return False
        return True

    def _failed(self, name: str, began: float, error: Exception) -> None:
        if self._outages.met(began):
            self.counts.failed_in_outage += 1
            return
        text = error.response.text[:200] if isinstance(error, httpx.HTTPStatusError) else ""
        self.counts.lost.append(f"{name}: {error!r} {text}")

    async def _speech(self) -> None:
        sentence = self._chance.choice(SENTENCES)
        size = len(await self._speak(sentence))
        if abs(size - self._bytes[sentence]) > self._bytes[sentence] * 0.02:
            self.counts.wrong.append(f"{sentence!r}: {size} bytes in place of {self._bytes[sentence]}")

    async def _transcription(self) -> None:
        sentence = self._chance.choice(SENTENCES)
        text = await self._transcribe(self._uploads[sentence])
        if text != self._texts[sentence]:
            self.counts.wrong.append(f"{text!r} in place of {self._texts[sentence]!r}")

    async def _cancel(self) -> None:
        body = {**_SPEECH, "input": " ".join(SENTENCES)}
        async with self._http.stream("POST", "/v1/audio/speech", json=body) as answer:
            await _checked(answer)
            if await anext(answer.aiter_raw(), None) is None:
                self.counts.wrong.append(f"{body['input']!r}: an empty answer")

    async def _slow(self) -> None:
        async with self._http.stream("POST", "/v1/audio/speech", json={**_SPEECH, "input": SENTENCES[2]}) as answer:
            await _checked(answer)
            async for _ in answer.aiter_raw(4096):
                await asyncio.sleep(0.1)

    async def _hostile(self) -> None:
        data = damaged(self._chance.choice(self._clean), self._chance)
        form = {"model": "whisper-base"}
        answer = await self._http.post("/v1/audio/transcriptions", data=form, files={"file": ("a.bin", data)})
        if answer.status_code not in (200, 400, 413):
            answer.raise_for_status()

    async def _speak(self, sentence: str) -> bytes:
        answer = await self._http.post("/v1/audio/speech", json={**_SPEECH, "input": sentence})
        return answer.raise_for_status().content

    async def _transcribe(self, audio: bytes) -> str:
        form = {"model": "whisper-base", "language": "en"}
        answer = await self._http.post("/v1/audio/transcriptions", data=form, files={"file": ("a.wav", audio)})
        return str(answer.raise_for_status().json()["text"])


async def _checked(answer: httpx.Response) -> None:
    if answer.is_error:
        await answer.aread()
        answer.raise_for_status()
