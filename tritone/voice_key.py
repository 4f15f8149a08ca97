"""The key of a voice to clone: the hash of its recording and its words, by which a model finds the voice again.

Only the caller that has the recording, or was given its key, can name it; and no other recording has the same key. So
a model can keep the voices of many callers without mixing them up. A key is as confidential as its recording.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tritone.errors import InvalidInput

_FORM: Final = re.compile("[0-9a-f]{64}")


def audio_digest(ref_audio: NDArray[np.float32]) -> bytes:
    """Return the hash of mono samples (n,), 32 bytes."""
    return hashlib.sha256(np.ascontiguousarray(ref_audio, dtype="<f4").data).digest()


def voice_key(digest: bytes, ref_text: str, *, x_vector_only: bool) -> str:
    """Return the key of the voice in a recording with this `audio_digest`; `ref_text` counts as the model gets it."""
    words = b"\1" if x_vector_only else b"\0" + ref_text.encode()
    return hashlib.sha256(digest + words).hexdigest()


def check_voice_key(field: str, key: str) -> None:
    """Raise `InvalidInput` for a text that cannot be a key."""
    if not _FORM.fullmatch(key):
        raise InvalidInput(field, "not a key; a key is 64 hexadecimal digits in lower case, see docs/contract.md")
