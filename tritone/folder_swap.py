"""Folders that are replaced, or vanish, in one moment for every reader, whatever interrupts that."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
from pathlib import Path
from typing import Final

_HERE: Final = -100
"""AT_FDCWD: paths are relative to the working folder."""
_EXCHANGE: Final = 2
"""RENAME_EXCHANGE."""
_REMOVED: Final = ".removed"
_libc = ctypes.CDLL(None, use_errno=True)


def put_in_place(fresh: Path, place: Path) -> None:
    """Rename the folder `fresh` to `place`, beside it; a former folder there is removed afterwards.

    Whenever this is interrupted, one of the two is at `place`. Only on a file system that cannot exchange two names,
    such as NFS, there is none for a moment; an error or Ctrl-C in it brings the former one back.
    """
    if not place.exists():
        fresh.rename(place)
    elif _exchange(fresh, place):
        shutil.rmtree(fresh)
    else:
        old = fresh.with_name(f"{fresh.name}.old")
        shutil.rmtree(old, ignore_errors=True)  # a killed call left it, when its new folder was in place
        place.rename(old)
        try:
            fresh.rename(place)
        except BaseException:
            old.rename(place)
            raise
        shutil.rmtree(old)


def remove_at_once(place: Path) -> None:
    """Remove a folder. If this is killed, the folder is gone, and `finish_removals` removes what is left of it."""
    removed = place.with_name(f".{place.name}{_REMOVED}")
    shutil.rmtree(removed, ignore_errors=True)
    place.rename(removed)
    shutil.rmtree(removed)


def finish_removals(parent: Path) -> None:
    """Remove what killed calls of `remove_at_once` left below `parent`."""
    for left in parent.glob(f".*{_REMOVED}"):
        shutil.rmtree(left, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange the names of two folders at once. Return False if the file system cannot."""
    if _libc.renameat2(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
        return False
    raise OSError(number, os.strerror(number), str(one), None, str(other))
