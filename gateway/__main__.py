"""`python -m gateway`: serve until SIGTERM or Ctrl-C, then let open requests finish.

With `--hold` it prepares all that needs no Triton, and listens when its standard input has ended.
"""

from __future__ import annotations

import gc


def main() -> None:
    """Serve. Exit status 0 after a signal to stop; a wrong setting is reported in one line, with exit status 2."""
    # A start makes 200,000 objects that stay, and 2,000 that do not: collections would take a fifth of its time.
    gc.disable()
    from gateway.process import serve  # noqa: PLC0415

    serve()


if __name__ == "__main__":
    main()
