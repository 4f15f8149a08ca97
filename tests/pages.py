"""Code blocks of documentation pages, to run them as a reader does."""

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
"""The address of the server in all pages."""

_BLOCK = re.compile(r"^(?P<indent> *)```(?P<language>\w+)\n(?P<code>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE)
_CURL = "silent\nshow-error\nfail-with-body\nnoproxy = *\nmax-time = 300\n"


@dataclass(frozen=True)
class Block:
    """A fenced block of code."""

    language: str
    code: str

    def command(self, url: str) -> list[str]:
        """Return the command that runs the block against the server at `url`."""
        code = self.code.replace(ADDRESS, url)
        match self.language:
            case "sh":
                return ["bash", "-euo", "pipefail", "-c", code]
            case "python":
                return [sys.executable, "-W", "error", "-c", code]
        raise ValueError(f"a block of {self.language!r} cannot be run")

    @property
    def written(self) -> list[str]:
        """The names of the files that it writes."""
        return re.findall(r"(?:--output |_to_file\(\")([\w.-]+)", self.code)


def blocks(page: str, *languages: str) -> list[Block]:
    """Return the blocks of a page in these languages."""
    found = _BLOCK.finditer((ROOT / page).read_text(encoding="utf-8"))
    return [Block(block["language"], dedent(block["code"])) for block in found if block["language"] in languages]


def settings(page: str) -> dict[str, str]:
    """Return the settings in the `ini` blocks of a page."""
    lines = [line for block in blocks(page, "ini") for line in block.code.splitlines()]
    return dict(line.split("=", 1) for line in lines)


def environment(folder: Path) -> Mapping[str, str]:
    """Return the environment of commands that run in `folder`; curl fails there on an HTTP error."""
    (folder / ".curlrc").write_text(_CURL)
    return {**os.environ, "CURL_HOME": str(folder), "HOME": str(folder)}


def audio(file: Path) -> tuple[str, float]:
    """Return FFmpeg's name of a file's format, and the seconds of its decoded audio."""
    with av.open(str(file)) as container:
        return container.format.name, sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))
