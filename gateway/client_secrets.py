"""Client secrets: short-lived keys that a server hands to its browsers, with the content that it signs into them."""

from __future__ import annotations

import base64
import hmac
import json
import secrets
import time
from collections.abc import Sequence
from typing import Any, Final

PREFIX: Final = "ek_"

_DIGEST: Final = "sha256"


class ClientSecrets:
    """Issues and checks client secrets.

    They are signed with the API keys, so every gateway with the same keys accepts them, and one that loses a key no
    longer accepts its secrets. Without API keys they are signed with a key of this process.
    """

    def __init__(self, api_keys: Sequence[str]) -> None:
        # An own purpose for the key: a signature must not help to guess what else it may sign.
        keys = [key.encode() for key in api_keys] or [secrets.token_bytes(32)]
        self._keys = [hmac.digest(key, b"tritone client secret", _DIGEST) for key in keys]

    def issue(self, content: dict[str, Any], expires_at: int) -> str:
        """Return a secret that holds `content` and is valid until `expires_at`, in Unix time."""
        signed = json.dumps({"expires_at": expires_at, "id": secrets.token_hex(8), "content": content}).encode()
        return f"{PREFIX}{_encoded(signed)}.{_encoded(hmac.digest(self._keys[0], signed, _DIGEST))}"

    def content(self, secret: str) -> dict[str, Any] | None:
        """Return the content of a secret; None if it is not valid, or no longer."""
        if not secret.startswith(PREFIX):
            return None
        try:
            signed, signature = map(_decoded, secret.removeprefix(PREFIX).split("."))
        except ValueError:
            return None
        matches = [hmac.compare_digest(signature, hmac.digest(key, signed, _DIGEST)) for key in self._keys]
        if not any(matches):
            return None
        fields = json.loads(signed)
        content: dict[str, Any] = fields["content"]
        return content if time.time() < fields["expires_at"] else None


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
