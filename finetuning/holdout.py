"""The clips that are only judged by."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from finetuning.clip_table import Row

_SHARE: Final = 0.05
_LEAST, _MOST = 8, 64
_MOST_SHARE: Final = 0.2
_MANY_RECORDINGS: Final = 20
"""From so many recordings on, whole ones are held out, so that no room or mood is both learned and judged."""


def held_out(rows: Sequence[Row], seed: int = 0) -> frozenset[str]:
    """Return the ids of the clips to hold out of training: a twentieth, 8 to 64, but never more than a fifth.

    The same clips are chosen again after clips were added, as far as the numbers allow.
    """
    count = min(max(_LEAST, round(len(rows) * _SHARE)), _MOST, int(len(rows) * _MOST_SHARE))
    groups: dict[str, list[str]] = defaultdict(list)
    recordings = {row.recording for row in rows}
    for row in rows:
        groups[row.recording if len(recordings) >= _MANY_RECORDINGS else row.id].append(row.id)
    chosen: list[str] = []
    for name in sorted(groups, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest()):
        if len(chosen) + len(groups[name]) <= count:
            chosen += groups[name]
    return frozenset(chosen)
