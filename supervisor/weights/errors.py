"""Why weights do not come.

FetchError            nothing serves them, or there is no room: a person must act
SourceError           this source does not serve; the next one is asked
  UnreachableError    nor will anything else behind the same door, for now
"""

from __future__ import annotations


class FetchError(Exception):
    """Files are missing after every source was asked, or cannot be kept; the message says what to do."""


class SourceError(Exception):
    """A source does not serve what was asked of it."""


class UnreachableError(SourceError):
    """A source's host or tool does not answer."""
