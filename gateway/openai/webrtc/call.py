"""A session over WebRTC, from its offer to its end. It imports aiortc, which takes a moment: import it late."""

from __future__ import annotations

import asyncio
from typing import Final, Literal

from gateway.core.services import Services
from gateway.core.telemetry import WorkTelemetry
from gateway.openai.conversation.config import ConversationConfig
from gateway.openai.conversation.playback import SentPlayback
from gateway.openai.realtime.serving import Session, open_session, run_session
from gateway.openai.realtime.session_config import RealtimeConfig
from gateway.openai.webrtc.peer import Peer
from gateway.openai.webrtc.speaker import Speaker
from gateway.telemetry import AUDIO

CONNECT_SECONDS: Final = 30.0
"""A client that has not connected by then cannot reach this machine, or has gone."""

End = Literal["ended", "unreachable"]
"""How a call ends: by its client, a deadline or a hang-up; or before it has begun."""


class Call:
    """One call; `answer` it, then `run` it in a task, which may be cancelled."""

    def __init__(self, services: Services, telemetry: WorkTelemetry) -> None:
        self._services = services
        self._telemetry = telemetry
        self._peer = Peer(services.settings)
        self._session: Session

    async def answer(self, offer: str, config: RealtimeConfig, *, beta_events: bool) -> str:
        """Return the answer to a checked offer of a session. Raises as `open_session` and `Peer.answer`."""
        peer = self._peer
        speaker = Speaker(peer.send) if isinstance(config, ConversationConfig) else None
        self._session = await open_session(
            self._services,
            config,
            peer.send,
            self._telemetry,
            beta_events=beta_events,
            new_playback=speaker.playback if speaker else SentPlayback,
        )
        try:
            return await peer.answer(offer, speaker)
        except BaseException:
            await peer.close()
            raise

    async def run(self) -> End:
        """Serve the session until it ends; return how."""
        telemetry = self._telemetry
        try:
            if not await self._is_connected():
                return "unreachable"
            await self._serve()
            return "ended"
        finally:
            await self._peer.close()
            if telemetry.model is not None:
                AUDIO.labels(telemetry.model).inc(telemetry.audio_seconds)

    async def _serve(self) -> None:
        """Serve the session until it ends, or the client is gone, at once, however far behind the session is."""
        serving = asyncio.create_task(run_session(self._services, self._peer, self._session, self._telemetry))
        leaving = asyncio.create_task(self._peer.disconnected())
        try:
            await asyncio.wait({serving, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (serving, leaving):
                task.cancel()
            outcome, _ = await asyncio.gather(serving, leaving, return_exceptions=True)
        if isinstance(outcome, Exception):
            raise outcome

    async def _is_connected(self) -> bool:
        try:
            async with self._services.timing.timeout(CONNECT_SECONDS):
                return await self._peer.connect()
        except TimeoutError:
            return False
