"""`python3 -m supervisor.prune`: remove the environments that nobody has used for a month.

A change of the pinned requirements makes new ones, and leaves the old to clones that have not followed yet.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from supervisor import console
from supervisor.environments import MARKER, cache_folder, locked

UNUSED_DAYS = 30


def main() -> int:
    """Remove them, telling each. Returns the exit status."""
    for folder in unused(cache_folder() / "envs", time.time() - UNUSED_DAYS * 24 * 3600):
        with locked(folder):
            # Out of the way first: a removal that is broken off must not leave what looks whole.
            (folder / MARKER).unlink()
            shutil.rmtree(folder)
        console.info(f"removed {folder.name}")
    return 0


def unused(folder: Path, since: float) -> Iterator[Path]:
    """The environments below `folder` that were not used after `since` (Unix seconds), and that no process runs in."""
    for marker in sorted(folder.glob(f"*/{MARKER}")):
        if marker.stat().st_mtime < since and not _runs_in(marker.parent):
            yield marker.parent


def _runs_in(folder: Path) -> bool:
    """Whether a process of ours was started from `folder`, or has loaded a library from there."""
    inside = f"{folder}/".encode()
    for told in ("cmdline", "maps"):
        for file in Path("/proc").glob(f"[0-9]*/{told}"):
            with contextlib.suppress(OSError):  # it has ended, or is not ours
                if inside in file.read_bytes():
                    return True
    return False


if __name__ == "__main__":
    sys.exit(main())
