"""The settings of live sessions, over WebSockets and WebRTC."""

from __future__ import annotations

import re
from importlib.util import find_spec
from ipaddress import ip_address
from typing import Final

from pydantic import BaseModel, Field, SecretStr, field_validator

from gateway.settings.fields import Names

_ICE_SERVER: Final = re.compile(
    r"(stun:|turns?:)(\[[\da-fA-F:.]+\]|[\w.-]+)(:\d{1,5})?(?<!stun:)(\?transport=(udp|tcp))?"
)


class LiveSettings(BaseModel):
    """Part of `GatewaySettings`."""

    max_realtime_sessions: int = Field(
        default=32, ge=1, description="Live sessions at once; others are answered with 429."
    )
    realtime_idle_timeout: float = Field(
        default=0.0,
        ge=0,
        description="Seconds after which a live session without client events is closed; 0: never, because WebSocket "
        "pings show whether its client is there.",
    )
    realtime_session_timeout: float = Field(
        default=3600.0, gt=0, description="Seconds after which a live session is closed."
    )
    webrtc: bool = Field(
        default=False,
        description="Whether `POST /v1/realtime/calls` serves live sessions over WebRTC, which opens a UDP port for "
        "each call; with `scripts/serve`, the gateway runs in the environment `webrtc` then.",
    )
    webrtc_public_address: str = Field(
        default="",
        description="IP address at which clients reach the UDP ports of this machine, if it is behind a 1:1 NAT or in "
        "a container with published ports. Empty: its own addresses.",
    )
    webrtc_ice_servers: Names = Field(
        default=(),
        description="A STUN server, `stun:HOST:3478`, which tells this machine its public address; a TURN server, "
        "`turn:HOST:3478`, `turn:HOST:3478?transport=tcp` or `turns:HOST:5349`, over which all calls go then; or both, "
        "separated by commas. Empty: clients reach this machine.",
    )
    webrtc_turn_username: str = Field(default="", description="Name of this server's user at the TURN server.")
    webrtc_turn_credential: SecretStr = Field(default=SecretStr(""), description="Password of that user.")

    @field_validator("webrtc")
    @classmethod
    def _check_webrtc(cls, webrtc: bool) -> bool:
        if webrtc and find_spec("aiortc") is None:
            raise ValueError("the package aiortc is not installed; requirements/webrtc.txt has it")
        return webrtc

    @field_validator("webrtc_public_address")
    @classmethod
    def _check_public_address(cls, address: str) -> str:
        return str(ip_address(address)) if address else ""

    @field_validator("webrtc_ice_servers")
    @classmethod
    def _check_ice_servers(cls, servers: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := next((url for url in servers if not _ICE_SERVER.fullmatch(url)), ""):
            raise ValueError(f"{wrong!r}: a server is such as `stun:HOST:3478`, `turn:HOST:3478` or `turns:HOST:5349`")
        stun = sum(url.startswith("stun:") for url in servers)
        if stun > 1 or len(servers) - stun > 1:
            raise ValueError("at most one STUN and one TURN server are used")
        return servers
