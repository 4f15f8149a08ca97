"""Files from a model hub, or below any web address: plain ranged GETs that resume where they were cut."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from supervisor.weights.errors import SourceError, UnreachableError
from supervisor.weights.manifest import Blob, Kind, Location, Source
from supervisor.weights.progress import Progress
from supervisor.weights.store import Store, WrongContentError

OPEN_S = 5.0
"""A host that has not answered by then, name resolution included, is unreachable."""
_STALL_S = 15.0
_CHUNK = 1 << 20


class _NotServedError(Exception):
    """The host answers, but has not this file."""


class _CutError(Exception):
    """The connection did not come about, or ended before its time."""


class _Redirects(HTTPRedirectHandler):
    """Follows redirects, and keeps the token from other hosts than the one it was meant for."""

    def redirect_request(  # noqa: PLR0917 - urllib's signature
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new is not None and urlsplit(newurl).netloc != urlsplit(req.full_url).netloc:
            new.remove_header("Authorization")
        return new


_opener = build_opener(_Redirects)


def base_url(source: Source) -> str:
    """The address below which a hub or url source keeps its files; raises `SourceError` for a bad HF_ENDPOINT."""
    (name,) = source.names
    if source.kind is Kind.URL:
        return name
    repository, _, revision = name.partition("@")
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"
    if not endpoint.startswith(("https://", "http://")):
        raise SourceError(f"HF_ENDPOINT is {endpoint!r}, which is no web address")
    return f"{endpoint}/{repository}/resolve/{revision}"


def fetch(source: Source, wanted: Mapping[str, Location], store: Store, progress: Progress) -> None:
    """Bring what the source serves of `wanted` into the store; a file that it has not, or has otherwise, is told.

    Raises `SourceError` when the source is of no use for any further file.
    """
    headers = {"User-Agent": "tritone"}
    if source.kind is Kind.HUB:
        if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON"):
            raise UnreachableError("HF_HUB_OFFLINE is set")
        if token := os.environ.get("HF_TOKEN") or os.environ.get("HUGGINGFACE_HUB_TOKEN"):
            headers["Authorization"] = f"Bearer {token.strip()}"
    for name, location in wanted.items():
        if store.has(location.blob):
            continue
        (path,) = location.parts
        request = Request(f"{base_url(source)}/{quote(path)}", headers=headers)  # noqa: S310 - http, checked
        try:
            _download(request, location.blob, store, partial(progress.bytes, name))
        except (WrongContentError, _NotServedError) as error:
            progress.say(f"{source}: {name} passed over: {error}")


def _download(request: Request, blob: Blob, store: Store, report: Callable[[int, int], None]) -> None:
    part = store.partial(blob)
    resumed = part.exists()
    while True:
        try:
            _grow(request, part, blob, report)
            return store.admit(blob, part)
        except WrongContentError:
            part.unlink(missing_ok=True)
            if not resumed:
                raise
            resumed = False  # the beginning may have been another source's: once more, from zero


def _grow(request: Request, part: Path, blob: Blob, report: Callable[[int, int], None]) -> None:
    """Make `part` whole; a cut connection is taken up again for as long as each one brings something."""
    while True:
        have = part.stat().st_size if part.exists() else 0
        if have >= blob.size:
            return
        try:
            _append(request, part, have, blob, report)
        except _CutError as cut:
            if not part.exists() or part.stat().st_size <= have:
                raise UnreachableError(str(cut)) from cut


def _append(request: Request, part: Path, have: int, blob: Blob, report: Callable[[int, int], None]) -> None:
    request.add_header("Range", f"bytes={have}-")
    with _open(request) as response:
        start = have if response.status == HTTPStatus.PARTIAL_CONTENT else 0
        length = response.headers.get("Content-Length")
        if length is not None and start + int(length) != blob.size:
            raise WrongContentError(f"{start + int(length)} bytes, not {blob.size}")
        with part.open("ab" if start else "wb") as out:
            while chunk := _read(response):
                out.write(chunk)
                report(out.tell(), blob.size)
                if out.tell() > blob.size:
                    raise WrongContentError(f"more than {blob.size} bytes")
            if out.tell() < blob.size:
                raise _CutError("the connection was cut")


def _open(request: Request) -> HTTPResponse:
    """The response once its headers are here, redirects followed, in at most OPEN_S.

    A thread of its own waits for it, because no socket timeout covers the name's resolution.
    """
    answers: queue.SimpleQueue[HTTPResponse | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(_opener.open(request, timeout=_STALL_S))
        except Exception as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=OPEN_S)
    except queue.Empty:
        raise _CutError(f"no answer within {OPEN_S:.0f} s") from None
    match answer:
        case HTTPError(code=HTTPStatus.NOT_FOUND | HTTPStatus.GONE):
            raise _NotServedError("the host does not have it") from answer
        case HTTPError(code=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE):
            raise WrongContentError("shorter at the source") from answer
        case HTTPError():
            raise SourceError(f"HTTP status {answer.code}") from answer
        case OSError() | HTTPException():
            raise _CutError(str(getattr(answer, "reason", answer))) from answer
        case Exception():
            raise SourceError(f"{request.full_url}: {answer}") from answer
    return answer


def _read(response: HTTPResponse) -> bytes:
    try:
        return response.read1(_CHUNK)
    except (OSError, HTTPException) as error:
        raise _CutError(str(error)) from error
