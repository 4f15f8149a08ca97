"""The check of a client's offer, before anything is opened for it."""

from __future__ import annotations

from typing import Final

from tritone.errors import InvalidInput

FIELD: Final = "sdp"
MOST_BYTES: Final = 64 * 1024
"""The longest offer; browsers send 2 to 8 KiB."""
_DROPPED: Final = ("a=candidate:", "a=end-of-candidates")


def checked_offer(sdp: bytes, *, keeps_addresses: bool = False) -> str:
    """Return an offer of audio, and perhaps a data channel, without the client's addresses.

    The client reaches us, and its packets show its address, so that nobody can have packets sent to addresses of a
    third party or of this network. `keeps_addresses`: a TURN server sends all packets, to addresses that it allows,
    and needs them to let the client's in. Raises `InvalidInput`.
    """
    if len(sdp) > MOST_BYTES:
        raise InvalidInput(FIELD, f"it is over {MOST_BYTES} bytes")
    try:
        lines = sdp.decode().splitlines()
    except UnicodeDecodeError:
        lines = []
    if not lines or lines[0].strip() != "v=0":
        raise InvalidInput(FIELD, "it is no session description; send the `sdp` of a peer connection's offer")
    media = [line[2:].split(" ")[0] for line in lines if line.startswith("m=")]
    if media.count("audio") != 1 or media.count("application") > 1 or set(media) - {"audio", "application"}:
        offered = ", ".join(kind[:20] for kind in media[:10]) or "nothing"
        raise InvalidInput(FIELD, f"offer one audio track and at most one data channel; this offers {offered}")
    dropped = () if keeps_addresses else _DROPPED
    return "\r\n".join([line for line in lines if not line.startswith(dropped)] + [""])
