"""The names of API keys, which reveal none."""

from __future__ import annotations

import hashlib
from itertools import zip_longest

from gateway.core.usage.report import DIGEST_CHARS, KeyIds
from gateway.settings import GatewaySettings


def owner_of(key: bytes) -> str:
    """Return the client that a key stands for: the begin of its digest."""
    return hashlib.sha256(key).hexdigest()[:DIGEST_CHARS]


def key_ids(settings: GatewaySettings) -> KeyIds:
    """Return the ids of API_KEYS: their names in API_KEY_NAMES, or the begins of their digests."""
    keys = [key.get_secret_value().encode() for key in settings.api_keys]
    pairs = zip_longest(keys, settings.api_key_names, fillvalue="")
    return KeyIds({owner_of(key): name for key, name in pairs if isinstance(key, bytes)})
