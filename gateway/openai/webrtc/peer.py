"""The peer connection of one client: its audio comes on a track, its events on a data channel."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from contextlib import suppress
from ipaddress import ip_address
from typing import Final

import numpy as np
from aiortc import (
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.jitterbuffer import JitterBuffer
from aiortc.mediastreams import MediaStreamError
from aiortc.rtcconfiguration import RTCIceTransportPolicy
from aiortc.sdp import SessionDescription
from av import AudioFrame, AudioResampler

from gateway.errors import BadRequest, Unavailable
from gateway.openai.realtime.protocol import Event, error_event
from gateway.openai.realtime.transport import ClientMessage, size_of
from gateway.openai.webrtc.ice_servers import is_relayed
from gateway.openai.webrtc.offer import FIELD
from gateway.settings import GatewaySettings
from tritone.contract import LISTEN_RATE
from tritone.errors import InvalidInput
from tritone.windowing import Samples

_PIECE: Final = LISTEN_RATE // 50
"""Samples that are handed on at once: 20 ms, a packet of most clients."""
_MOST_WAITING: Final = 4 * 2**20
"""Bytes of messages that may wait for the session: a minute of audio. Packets cannot be held back."""
_MOST_UNSENT: Final = 1000
"""Events that wait for the data channel."""
_CANDIDATE: Final = "a=candidate:"
_BUFFER: Final = "_RTCRtpReceiver__jitter_buffer"
_REORDERED: Final = 4
"""Packets among which a late one is put in its place: it may come 60 ms late. Recognition needs no even pace."""


class Peer:
    """A client's peer connection, as the transport of its session."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._public_address = settings.webrtc_public_address
        self._connection = RTCPeerConnection(_configuration(settings))
        self._connection.on("connectionstatechange", self._change)
        self._connection.on("datachannel", self._open_channel)
        self._connection.on("track", self._begin_to_hear)
        self._connected = asyncio.Event()
        self._gone = asyncio.Event()
        self._waiting: asyncio.Queue[ClientMessage] = asyncio.Queue()
        self._bytes = 0
        self._channel: RTCDataChannel | None = None
        self._unsent: deque[str] = deque(maxlen=_MOST_UNSENT)
        self._hearing: asyncio.Task[None] | None = None

    async def answer(self, offer: str, speaker: MediaStreamTrack | None) -> str:
        """Return the answer to an offer that was checked. `speaker`: what the client is to hear.

        Raises `InvalidInput`, and `Unavailable` if this machine has no network.
        """
        if speaker:
            self._connection.addTrack(speaker)
        try:
            _check_direction(SessionDescription.parse(offer), speaks=speaker is not None)
            await self._connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            await self._connection.setLocalDescription(await self._connection.createAnswer())
        except InvalidInput:
            raise
        except Exception as error:  # the parser has no errors of its own
            raise InvalidInput(FIELD, f"the offer cannot be answered: {str(error)[:200]}") from error
        answer = self._connection.localDescription.sdp
        if _CANDIDATE not in answer:
            raise Unavailable("this server has no network address for WebRTC")
        return with_address(answer, self._public_address) if self._public_address else answer

    async def connect(self) -> bool:
        """Wait until the client is connected; return False if it cannot be."""
        await self._connected.wait()
        return not self._gone.is_set()

    async def disconnected(self) -> None:
        """Wait until the client is gone, or has sent far more than the session could act on."""
        await self._gone.wait()

    async def receive(self) -> ClientMessage:
        """Return the next message of the client."""
        message = await self._waiting.get()
        self._bytes -= size_of(message)
        return message

    async def send(self, event: Event) -> None:
        """Send an event; it is lost if the client has disconnected."""
        self._send(event)

    async def close(self, reason: str = "") -> None:
        """Disconnect the client."""
        self._leave()
        if self._hearing:
            self._hearing.cancel()
            await asyncio.gather(self._hearing, return_exceptions=True)
        await self._connection.close()

    def _send(self, event: Event) -> None:
        text = json.dumps(event, ensure_ascii=False)
        if self._channel is None:
            self._unsent.append(text)
        elif self._channel.readyState == "open":
            self._channel.send(text)

    def _change(self) -> None:
        state = self._connection.connectionState
        if state == "connected":
            self._connected.set()
        elif state in ("failed", "closed"):
            self._leave()

    def _leave(self) -> None:
        self._gone.set()
        self._connected.set()

    def _open_channel(self, channel: RTCDataChannel) -> None:
        if self._channel:
            return
        channel.on("message", self._take)
        self._channel = channel
        while self._unsent:
            channel.send(self._unsent.popleft())

    def _take(self, message: ClientMessage) -> None:
        """Put a message behind the others, unless the session is far behind: that ends it."""
        if self._gone.is_set():
            return
        self._bytes += size_of(message)
        if self._bytes > _MOST_WAITING:
            problem = BadRequest("the server is too far behind what was sent; the call ends", code="too_far_behind")
            self._send(error_event(problem, None))
            self._leave()
        else:
            self._waiting.put_nowait(message)

    def _begin_to_hear(self, track: MediaStreamTrack) -> None:
        for receiver in self._connection.getReceivers():
            if receiver.track is track:
                # aiortc has no setting for its buffer, which holds back 80 ms, and 320 ms for good after a lost packet.
                setattr(receiver, _BUFFER, JitterBuffer(_REORDERED, prefetch=1))
        self._hearing = asyncio.create_task(self._hear(track))

    async def _hear(self, track: MediaStreamTrack) -> None:
        """Take the audio of a track, as it comes."""
        resampler = AudioResampler("flt", "mono", LISTEN_RATE)
        pieces: list[Samples] = []
        with suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                assert isinstance(frame, AudioFrame)
                frame.pts = None  # the sender's clock begins anywhere
                pieces += [resampled.to_ndarray()[0] for resampled in resampler.resample(frame)]
                if sum(map(len, pieces)) >= _PIECE:
                    self._take(np.concatenate(pieces))
                    pieces = []


def _configuration(settings: GatewaySettings) -> RTCConfiguration:
    # Without servers of our choice, aiortc asks one on the internet for our address.
    credential = settings.webrtc_turn_credential.get_secret_value()
    servers = [RTCIceServer(url, settings.webrtc_turn_username, credential) for url in settings.webrtc_ice_servers]
    # An offer's addresses are used with a TURN server: no packet may go to them from this network.
    policy = RTCIceTransportPolicy.RELAY if is_relayed(settings) else RTCIceTransportPolicy.ALL
    return RTCConfiguration(servers, bundlePolicy=RTCBundlePolicy.MAX_BUNDLE, iceTransportPolicy=policy)


def _check_direction(offer: SessionDescription, *, speaks: bool) -> None:
    """Raise `InvalidInput` if the audio cannot go the way that it must."""
    (audio,) = (media for media in offer.media if media.kind == "audio")
    if audio.direction not in ("sendrecv", "recvonly" if speaks else "sendonly"):
        need = "receive the answers' audio" if speaks else "send audio"
        raise InvalidInput(FIELD, f"offer the audio as `sendrecv`: a client of this session has to {need}")


def with_address(answer: str, address: str) -> str:
    """Return an answer with this address in place of the machine's own of the same version."""
    kind = ip_address(address).version
    lines = []
    for line in answer.split("\r\n"):
        if line.startswith(_CANDIDATE):
            fields = line.split(" ")
            if fields[7] == "host" and ip_address(fields[4]).version == kind:
                fields[4] = address
            lines.append(" ".join(fields))
        else:
            lines.append(line)
    return "\r\n".join(lines)
