"""The secret on a child's command line, which every user of the machine could read."""

from __future__ import annotations

from pathlib import Path

_ARGUMENTS_START, _ARGUMENTS_END = 45, 46
"""Fields of /proc/PID/stat after the name: the addresses of the command line."""


def hide(pid: int, secret: str) -> bool:
    """Write asterisks over `secret` in the command line of our own child `pid`, which has read it.

    Return whether it cannot be read there any more; the kernel may deny access to the child's memory.
    """
    process = Path(f"/proc/{pid}")
    try:
        fields = (process / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        start, end = int(fields[_ARGUMENTS_START]), int(fields[_ARGUMENTS_END])
        line = (process / "cmdline").read_bytes()
        sought = secret.encode()
        if len(line) == end - start:
            with (process / "mem").open("r+b", buffering=0) as memory:
                at = line.find(sought)
                while at >= 0:
                    memory.seek(start + at)
                    memory.write(b"*" * len(sought))
                    at = line.find(sought, at + len(sought))
        return sought not in (process / "cmdline").read_bytes()
    except OSError:
        return False
