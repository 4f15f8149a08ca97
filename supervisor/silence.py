"""Detection of a process that lives and does not serve: stopped by a signal, or blocked for ever.

Time is counted in looks of this process: after the whole machine or container was suspended, the first look is one
look, not the minutes of the suspension.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from supervisor.process_state import ProcessState, waiting_seconds

LOOK_SECONDS = 5.0
_STOPPED_LOOKS = 2
_SILENT_LOOKS = 6
"""30 seconds: the longest silence of a healthy process on a machine that is five times slower and busy."""
_BUSY_LOOKS = 120
"""Ten minutes: as long as the longest request."""
_LEAST_CPU = 0.01
"""Share of a core that a process uses or waits for; a blocked stub does neither."""


async def silence(answers: Callable[[], Awaitable[bool]], pids: Sequence[int], *, may_be_busy: bool = False) -> str:
    """Wait until a process is stopped, or does not answer any more; return the reason.

    `answers` is called again after each answer; it returns False, at once, if the process cannot be reached, and may
    wait for as long as the process is silent. `pids` serve as one. A process that is being debugged is not judged.

    `may_be_busy` says that work in progress delays an answer: a process without an answer is then silent only if one
    of `pids` uses no CPU and waits for none either, or after ten minutes.
    """
    progress = [Progress(pid) for pid in pids]
    stopped = silent = 0
    answer: asyncio.Future[bool] | None = None
    try:
        while True:
            answer = answer or asyncio.ensure_future(answers())
            await asyncio.sleep(LOOK_SECONDS)
            for each in progress:
                each.look()
            answered = answer.done() and answer.result()
            answer = None if answer.done() else answer
            stopped = stopped + 1 if any(each.state == "T" for each in progress) else 0
            if answered or any(each.state == "t" for each in progress):
                silent = 0
                for each in progress:
                    each.idle_looks = 0
            else:
                silent += 1
            if stopped >= _STOPPED_LOOKS:
                return "stopped by a signal"
            if silent >= (_BUSY_LOOKS if may_be_busy else _SILENT_LOOKS):
                return _no_answer(silent)
            if may_be_busy and any(each.idle_looks >= _SILENT_LOOKS for each in progress):
                return _no_answer(silent)
    finally:
        if answer:
            answer.cancel()


def _no_answer(looks: int) -> str:
    return f"no answer for {looks * LOOK_SECONDS:g} s"


class Progress:
    """The CPU time of a process between two looks, with that which it waited for: others may take all CPUs."""

    def __init__(self, pid: int) -> None:
        self.state = ""
        self.idle_looks = 0
        """Looks in a row without progress."""
        self._pid = pid
        self._cpu_seconds = 0.0
        self.look()
        self.idle_looks = 0

    def look(self) -> None:
        """Measure the time since the last look."""
        now = ProcessState.read(self._pid)
        self.state = now.state if now else "X"
        used = now.cpu_seconds + waiting_seconds(self._pid) - self._cpu_seconds if now else 0.0
        self._cpu_seconds += used
        # A process that waits for a device, for example for a page of its memory, cannot use the CPU.
        progressed = used >= _LEAST_CPU * LOOK_SECONDS or self.state == "D"
        self.idle_looks = 0 if progressed else self.idle_looks + 1
