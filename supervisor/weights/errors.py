"""Errors of fetching weights.

FetchError            the disk is full, or the cache cannot be written: the operator must act
  AbsentError         no source serves the files
SourceError           this source does not serve the files; the next one is tried
  SourceUnreachableError    its endpoint does not answer, and is not tried again
"""

from __future__ import annotations


class FetchError(Exception):
    """Files are missing after every source was tried, or cannot be stored; the message gives the remedy."""


class AbsentError(FetchError):
    """No source serves these files; the message lists them."""


class SourceError(Exception):
    """A source does not serve the requested files."""


class SourceUnreachableError(SourceError):
    """A source's host or tool does not answer."""
