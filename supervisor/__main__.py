"""`python -m supervisor`: the program of `scripts/serve`."""

import os
import signal
import sys

if __name__ == "__main__":
    # During the imports, which take a moment, a signal only has this process to end.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))

    from supervisor.command import main

    sys.exit(main())
