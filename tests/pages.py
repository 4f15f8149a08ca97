"""Documentation that is run: the code blocks of a page, as their reader would run them."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import av

ROOT = Path(__file__).parents[1]
ADDRESS = "http://localhost:8899"
"""The server's, as pages write it."""

_BLOCK = re.compile(r"^(?P<indent> *)```(?P<language>\w+)\n(?P<code>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE)
_CURL = "silent\nshow-error\nfail-with-body\nnoproxy = *\nmax-time = 300\n"


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    language: str
    code: str

    def command(self, url: str) -> list[str]:
        """What runs it against the server at `url`."""
        code = self.code.replace(ADDRESS, url)
        match self.language:
            case "sh":
                return ["bash", "-euo", "pipefail", "-c", code]
            case "python":
                return [sys.executable, "-W", "error", "-c", code]
        raise ValueError(f"nobody knows how to run {self.language}")

    @property
    def written(self) -> list[str]:
        """The files that it writes."""
        return re.findall(r"(?:--output |_to_file\(\")([\w.-]+)", self.code)


def blocks(page: str, *languages: str) -> list[Block]:
    """Those of a page in these languages."""
    found = _BLOCK.finditer((ROOT / page).read_text(encoding="utf-8"))
    return [Block(block["language"], dedent(block["code"])) for block in found if block["language"] in languages]


def settings(page: str) -> dict[str, str]:
    """What a page's `ini` blocks set."""
    lines = [line for block in blocks(page, "ini") for line in block.code.splitlines()]
    return dict(line.split("=", 1) for line in lines)


def environment(folder: Path) -> Mapping[str, str]:
    """The variables that commands run with in `folder`: a curl that fails where its server does."""
    (folder / ".curlrc").write_text(_CURL)
    return {**os.environ, "CURL_HOME": str(folder), "HOME": str(folder)}


def audio(file: Path) -> tuple[str, float]:
    """A file's format, as FFmpeg calls it, and its seconds by what comes out of the decoder."""
    with av.open(str(file)) as container:
        return container.format.name, sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))
