"""The servers that help clients to reach this machine. It does not import aiortc."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.settings import GatewaySettings


def turn_servers(servers: Sequence[str]) -> list[str]:
    """Return the TURN servers among WEBRTC_ICE_SERVERS."""
    return [url for url in servers if url.startswith("turn")]


def is_relayed(settings: GatewaySettings) -> bool:
    """Return whether all packets of calls go over a TURN server."""
    return bool(turn_servers(settings.webrtc_ice_servers))
