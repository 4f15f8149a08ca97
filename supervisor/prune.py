"""`python3 -m supervisor.prune`: remove the environments that were not used for a month.

A change of the pinned requirements makes new environments, and leaves the old ones to clones of older commits.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from supervisor import console
from supervisor.cache import cache_folder, locked
from supervisor.environments import MARKER

UNUSED_DAYS = 30


def main() -> int:
    """Remove them, and log each. Returns the exit status."""
    for folder in unused(cache_folder() / "envs", time.time() - UNUSED_DAYS * 24 * 3600):
        with locked(folder):
            # The marker first: an interrupted removal must not leave an environment that looks complete.
            (folder / MARKER).unlink()
            shutil.rmtree(folder)
        console.info(f"removed {folder.name}")
    return 0


def unused(folder: Path, since: float) -> Iterator[Path]:
    """Yield the environments below `folder` that were not used after `since` (Unix seconds) and run no process."""
    for marker in sorted(folder.glob(f"*/{MARKER}")):
        if marker.stat().st_mtime < since and not _runs_in(marker.parent):
            yield marker.parent


def _runs_in(folder: Path) -> bool:
    """Return whether a process of this user was started from `folder`, or has loaded a library from there."""
    inside = f"{folder}/".encode()
    for source in ("cmdline", "maps"):
        for file in Path("/proc").glob(f"[0-9]*/{source}"):
            with contextlib.suppress(OSError):  # it has ended, or belongs to another user
                if inside in file.read_bytes():
                    return True
    return False


if __name__ == "__main__":
    sys.exit(main())
