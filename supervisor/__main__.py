"""`python -m supervisor`, which is what `scripts/serve` runs."""

import os
import signal
import sys

if __name__ == "__main__":
    # The imports take a moment, in which there is nothing to stop yet but ourselves.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))

    from supervisor.command import main

    sys.exit(main())
