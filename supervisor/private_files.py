"""Files and shared memory of our child processes that other users of the machine cannot read."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from pathlib import Path
from typing import Final

_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_SET_SECCOMP: Final = 22
_SECCOMP_MODE_FILTER: Final = 2
_ARCHITECTURES: Final = {"x86_64": (0xC000003E, 91), "aarch64": (0xC00000B7, 52)}
"""Machine -> the kernel's name of its architecture, and the number of its system call `fchmod`."""
_LOAD, _AND, _EQUAL, _RETURN = 0x20, 0x54, 0x15, 0x06
"""Operations of the kernel's filter programs."""
_ALLOW, _SUCCEED = 0x7FFF0000, 0x00050000
_NUMBER, _ARCHITECTURE, _MODE = 0, 4, 24
"""Offsets of a system call's number, its architecture and its second argument."""
_libc = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def _without_public_fchmod(architecture: int, fchmod: int) -> bytes:
    """Return a filter: `fchmod` to 0644 succeeds without effect, so that the umask's mode stays.

    Triton's Python backend sets this mode on its shared memory, which holds texts and audio, whatever the umask is.
    """
    steps = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 0, 6, architecture),
        (_LOAD, 0, 0, _NUMBER),
        (_EQUAL, 0, 4, fchmod),
        (_LOAD, 0, 0, _MODE),
        (_AND, 0, 0, 0o7777),
        (_EQUAL, 0, 1, 0o644),
        (_RETURN, 0, 0, _SUCCEED),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


_known = _ARCHITECTURES.get(platform.machine())
_code = ctypes.create_string_buffer(_without_public_fchmod(*_known)) if _known else None
_program = _Program(9, ctypes.addressof(_code)) if _code else None


def make_private() -> None:
    """Keep the files of this process and its descendants private. For a child between fork and exec: it only calls C.

    Where the kernel takes no filter, `public_files` finds what is readable.
    """
    os.umask(0o077)
    if _program is not None:
        _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        _libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(_program), 0, 0)


def public_files(folder: Path, prefix: str) -> list[Path]:
    """Return the files in `folder` whose names begin with `prefix` and that other users may read or write."""
    return [path for path in folder.glob(f"{prefix}*") if path.stat().st_mode & 0o077]
