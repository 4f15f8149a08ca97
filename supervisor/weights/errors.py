"""Why weights do not come.

FetchError            there is no room, or the cache cannot be written: a person must act
  AbsentError         nothing serves them
SourceError           this source does not serve; the next one is asked
  UnreachableError    nor will anything else behind the same door, for now
"""

from __future__ import annotations


class FetchError(Exception):
    """Files are missing after every source was asked, or cannot be kept; the message says what to do."""


class AbsentError(FetchError):
    """Nothing serves these files; the message lists them."""


class SourceError(Exception):
    """A source does not serve what was asked of it."""


class UnreachableError(SourceError):
    """A source's host or tool does not answer."""
