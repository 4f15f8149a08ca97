"""The places between the words of Chinese text."""

from __future__ import annotations

import logging
import re
import tempfile
import threading
from typing import Any

_HAN = re.compile(r"[\u3400-\u9fff]{1,500}")
"""A run of Chinese characters; jieba takes quadratic time for a long one."""
_NUMERALS = frozenset("〇零一二三四五六七八九十百千万亿两幺点")
_TAILS = frozenset("的了着过们吗呢吧啊呀嘛么之地得")
"""Characters that belong to the word before them; no break stands before them."""
_loading = threading.Lock()


def load_dictionary() -> Any:
    """Return jieba's tokenizer, loaded; no file is left behind.

    By default jieba reads, or leaves, a file with a well-known name in /tmp.
    """
    import jieba  # noqa: PLC0415  - in the environments of the families that read Chinese

    with _loading:
        if not jieba.dt.initialized:
            jieba.setLogLevel(logging.WARNING)
            with tempfile.TemporaryDirectory() as folder:
                jieba.dt.tmp_dir = folder
                jieba.dt.initialize()
    return jieba.dt


def word_ends(text: str) -> list[int]:
    """Return each place inside the runs of Chinese characters in `text` at which one word ends and the next begins.

    A number stays together with the word that it counts.
    """
    ends: list[int] = []
    for run in _HAN.finditer(text):
        ends.extend(run.start() + end for end in _ends(run[0]))
    return ends


def _ends(run: str) -> list[int]:
    if len(run) < 2:
        return []
    ends = []
    end = 0
    for word in load_dictionary().cut(run):
        end += len(word)
        if end < len(run) and run[end] not in _TAILS and not _NUMERALS.issuperset(word) and not _in_number(run, end):
            ends.append(end)
    return ends


def _in_number(run: str, end: int) -> bool:
    return run[end - 1] in _NUMERALS and run[end] in _NUMERALS
