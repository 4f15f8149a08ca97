"""The frame of a step: its arguments, its errors as one line, and its exit status."""

from __future__ import annotations

import errno
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from finetuning.errors import FineTuningError
from finetuning.project import Project
from tritone.families import ROOT
from tritone.settings import MODEL_DIR

STOPPED: Final = 130
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


def run(step: Callable[[Project], int | None]) -> int:
    """Run a step on the project of the command line, and return the exit status."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(sys.argv[1])
    try:
        model_dir = (ROOT / Path(MODEL_DIR.read()).expanduser()).resolve()
        return step(Project.open(folder, model_dir)) or 0
    except FineTuningError as error:
        print(f"{folder.name}: {error}", file=sys.stderr)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        print(
            f"{folder.name}: no space left for {error.filename or folder}: make room and run it again", file=sys.stderr
        )
    except KeyboardInterrupt:
        print(f"{folder.name}: stopped; run the same command to go on", file=sys.stderr)
        return STOPPED
    return 1
