"""A client of `POST /v1/realtime/calls`, with a microphone and ears."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from fractions import Fraction
from typing import Any

import httpx
import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, AudioResampler

RATE = 24_000
_FRAME_BYTES = RATE // 50 * 2
CALLS = "/v1/realtime/calls"
NO_SERVERS = RTCConfiguration(iceServers=[])


class Microphone(MediaStreamTrack):
    """A track with what was said, and silence after it."""

    kind = "audio"

    def __init__(self, pace: float = 0.02) -> None:
        """`pace`: seconds that 20 ms take."""
        super().__init__()
        self.said = asyncio.Event()
        """Set when all that was said has been sent."""
        self._pace = pace
        self._pcm = bytearray()
        self._samples = 0
        self._due = 0.0

    def say(self, pcm: bytes) -> None:
        """Add samples of 16 bits at 24 kHz."""
        self._pcm += pcm
        self.said.clear()

    async def recv(self) -> AudioFrame:
        """Return the next 20 ms."""
        now = asyncio.get_running_loop().time()
        self._due = max(self._due + self._pace, now - 0.1)
        await asyncio.sleep(self._due - now)
        audio = bytes(self._pcm[:_FRAME_BYTES]).ljust(_FRAME_BYTES, b"\0")
        del self._pcm[:_FRAME_BYTES]
        if not self._pcm:
            self.said.set()
        frame = AudioFrame.from_ndarray(np.frombuffer(audio, np.int16)[None], "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, self._samples, Fraction(1, RATE)
        self._samples += _FRAME_BYTES // 2
        return frame


class Caller:
    """A client: what it sends, and what it gets."""

    def __init__(self, pace: float = 0.02) -> None:
        self.connection = RTCPeerConnection(NO_SERVERS)
        self.channel = self.connection.createDataChannel("oai-events")
        self.microphone = Microphone(pace)
        self.connection.addTrack(self.microphone)
        self.events: list[dict[str, Any]] = []
        self.heard: list[np.ndarray] = []
        """Samples of 16 bits at 24 kHz, in the pieces in which they came."""
        self.closed = asyncio.Event()
        self.path = ""
        self._read = 0
        self._changed = asyncio.Condition()
        self._hearing: asyncio.Task[None] | None = None
        self.channel.on("message", self._take)
        self.connection.on("track", self._hear)
        self.connection.on("connectionstatechange", self._change)

    async def offer(self) -> str:
        """Return the offer."""
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return self.connection.localDescription.sdp

    async def accept(self, response: httpx.Response) -> None:
        """Connect to the server."""
        assert response.status_code == 201, response.text
        assert response.headers["content-type"].startswith("application/sdp")
        self.path = response.headers["location"]
        await self.connection.setRemoteDescription(RTCSessionDescription(response.text, "answer"))

    def send(self, type_: str, **fields: Any) -> None:
        """Send an event."""
        self.channel.send(json.dumps({"type": type_, **fields}))

    async def until(self, type_: str) -> list[dict[str, Any]]:
        """Return the events up to the next one of a type, which is the last one."""
        first = self._read
        async with asyncio.timeout(300), self._changed:
            while True:
                for index in range(self._read, len(self.events)):
                    if self.events[index]["type"] == type_:
                        self._read = index + 1
                        return self.events[first : self._read]
                self._read = len(self.events)
                await self._changed.wait()

    async def last(self, type_: str) -> dict[str, Any]:
        """Return the next event of a type."""
        return (await self.until(type_))[-1]

    async def hear(self, loud: bool = True) -> None:
        """Wait for audio that is loud, or silent, from now on."""
        async with asyncio.timeout(300), self._changed:
            count = len(self.heard)
            await self._changed.wait_for(lambda: any(is_loud(piece) == loud for piece in self.heard[count:]))

    async def close(self) -> None:
        """Hang up, as a browser does that closes its connection."""
        if self._hearing:
            self._hearing.cancel()
        await self.connection.close()

    def _take(self, message: str) -> None:
        self.events.append(json.loads(message))
        self._notify()

    def _notify(self) -> None:
        async def notify() -> None:
            async with self._changed:
                self._changed.notify_all()

        self._notifying = asyncio.ensure_future(notify())

    def _hear(self, track: MediaStreamTrack) -> None:
        async def listen() -> None:
            resampler = AudioResampler("s16", "mono", RATE)
            with suppress(MediaStreamError):
                while True:
                    frame = await track.recv()
                    assert isinstance(frame, AudioFrame)
                    frame.pts = None
                    self.heard += [resampled.to_ndarray()[0] for resampled in resampler.resample(frame)]
                    self._notify()

        self._hearing = asyncio.create_task(listen())

    def _change(self) -> None:
        if self.connection.connectionState in ("failed", "closed"):
            self.closed.set()


def is_loud(piece: np.ndarray) -> bool:
    """Return whether a piece of audio is not silent."""
    return bool(np.abs(piece).max() > 300)


async def post(http: httpx.AsyncClient, offer: str, path: str = CALLS, **headers: str) -> httpx.Response:
    """Send an offer as browsers do."""
    return await http.post(path, content=offer, headers={"content-type": "application/sdp", **headers})


@asynccontextmanager
async def calling(
    http: httpx.AsyncClient,
    path: str = CALLS,
    *,
    session: Mapping[str, Any] | None = None,
    key: str = "",
    pace: float = 0.02,
) -> AsyncIterator[Caller]:
    """Begin a call; with a `session`, as a server does."""
    caller = Caller(pace)
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        offer = await caller.offer()
        if session is None:
            response = await post(http, offer, path, **headers)
        else:
            files = {"sdp": (None, offer), "session": (None, json.dumps(session))}
            response = await http.post(path, files=files, headers=headers)
        await caller.accept(response)
        yield caller
    finally:
        await caller.close()
