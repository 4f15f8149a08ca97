from __future__ import annotations

import io
import socket
from collections.abc import Callable
from http.client import HTTPMessage
from pathlib import Path
from urllib.request import Request

import pytest

from supervisor.weights import FetchError, Progress, fetch, missing, web
from supervisor.weights.manifest import Entry
from tests.ports import free_ports
from tests.unit.weights.conftest import CONTENT, HUB_PATH, HUB_SOURCE, Hub


def test_a_file_of_the_hub_lies_in_the_model_dir(tmp_path: Path, cache: Path, hub: Hub, tiny: Entry) -> None:
    hub.files[HUB_PATH] = CONTENT
    assert missing(tmp_path, ["tiny"]) == [tmp_path / "tiny/model.bin"]
    fetch(tmp_path, ["tiny"], cache_dir=cache)
    assert (tmp_path / "tiny/model.bin").read_bytes() == CONTENT
    assert missing(tmp_path, ["tiny"]) == []


def test_an_interrupted_download_is_resumed(tmp_path: Path, cache: Path, hub: Hub, tiny: Entry) -> None:
    hub.files[HUB_PATH] = CONTENT
    hub.cut_after = [40_000, 30_000]
    fetch(tmp_path, ["tiny"], cache_dir=cache)
    assert (tmp_path / "tiny/model.bin").read_bytes() == CONTENT
    assert [headers["Range"] for _, headers in hub.requests] == ["bytes=0-", "bytes=40000-", "bytes=70000-"]


def test_a_later_fetch_resumes_a_partial_download(tmp_path: Path, cache: Path, hub: Hub, tiny: Entry) -> None:
    hub.files[HUB_PATH] = CONTENT
    hub.cut_after = [40_000, 0]
    with pytest.raises(FetchError):
        fetch(tmp_path, ["tiny"], cache_dir=cache)
    hub.requests.clear()
    fetch(tmp_path, ["tiny"], cache_dir=cache)
    assert [headers["Range"] for _, headers in hub.requests] == ["bytes=40000-"]


def test_a_host_without_ranges_is_read_from_the_beginning(tmp_path: Path, cache: Path, hub: Hub, tiny: Entry) -> None:
    hub.files[HUB_PATH] = CONTENT
    hub.ranges = False
    hub.cut_after = [40_000]
    fetch(tmp_path, ["tiny"], cache_dir=cache)
    assert (tmp_path / "tiny/model.bin").read_bytes() == CONTENT


def test_a_partial_download_of_other_content_is_fetched_again(
    tmp_path: Path, cache: Path, hub: Hub, tiny: Entry
) -> None:
    hub.files[HUB_PATH] = b"?" * len(CONTENT)
    hub.cut_after = [40_000, 0]
    with pytest.raises(FetchError):
        fetch(tmp_path, ["tiny"], cache_dir=cache)
    hub.files[HUB_PATH] = CONTENT
    fetch(tmp_path, ["tiny"], cache_dir=cache)
    assert (tmp_path / "tiny/model.bin").read_bytes() == CONTENT


TWO_SOURCES = HUB_SOURCE + HUB_SOURCE.replace("owner/tiny", "owner/twin")


@pytest.mark.parametrize("wrong", [b"?" * len(CONTENT), CONTENT + b"?", CONTENT[:-1]])
def test_wrong_content_is_skipped_with_one_line(
    tmp_path: Path, cache: Path, hub: Hub, use_manifest: Callable[..., Entry], said: io.StringIO, wrong: bytes
) -> None:
    use_manifest(TWO_SOURCES, {"model.bin": CONTENT})
    hub.files = {HUB_PATH: wrong, HUB_PATH.replace("tiny", "twin"): CONTENT}
    fetch(tmp_path, ["tiny"], cache_dir=cache, progress=Progress(said))
    assert (tmp_path / "tiny/model.bin").read_bytes() == CONTENT
    assert len([line for line in said.getvalue().splitlines() if "skipped" in line]) == 1


@pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
def test_a_source_with_an_error_status_is_skipped(
    tmp_path: Path, cache: Path, hub: Hub, other_host: Hub, use_manifest: Callable[..., Entry], status: int
) -> None:
    url = f'[[tiny.sources]]\nurl = "{other_host.address}/files"\n[tiny.sources.paths]\n"model.bin" = "m.bin"\n'
    use_manifest(HUB_SOURCE + url, {"model.bin": CONTENT})
    hub.status = status
    other_host.files["/files/m.bin"] = CONTENT
    fetch(tmp_path, ["tiny"], cache_dir=cache)
    assert missing(tmp_path, ["tiny"]) == []


def test_an_unreachable_host_is_tried_once(
    tmp_path: Path, cache: Path, use_manifest: Callable[..., Entry], said: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_manifest(TWO_SOURCES, {"model.bin": CONTENT})
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{closed.getsockname()[1]}")
        with pytest.raises(FetchError):
            fetch(tmp_path, ["tiny"], cache_dir=cache, progress=Progress(said))
    assert said.getvalue().count("skipped") == 1


def test_a_host_that_accepts_and_never_answers_is_skipped(
    tmp_path: Path, cache: Path, tiny: Entry, said: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "OPEN_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(FetchError):
            fetch(tmp_path, ["tiny"], cache_dir=cache, progress=Progress(said))
    assert "no answer" in said.getvalue()


def test_a_host_that_cannot_be_reached_is_skipped_with_the_reason(
    tmp_path: Path, cache: Path, tiny: Entry, said: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    (port,) = free_ports(1)
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
    with pytest.raises(FetchError):
        fetch(tmp_path, ["tiny"], cache_dir=cache, progress=Progress(said))
    assert "skipped: cannot be reached: Connection refused\n" in said.getvalue()


def test_the_hub_is_not_called_when_set_offline(
    tmp_path: Path, cache: Path, hub: Hub, tiny: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(FetchError):
        fetch(tmp_path, ["tiny"], cache_dir=cache)
    assert hub.requests == []


@pytest.mark.parametrize("variable", ["HF_TOKEN", "HUGGINGFACE_HUB_TOKEN"])
def test_the_token_is_sent_only_to_the_hub_and_never_logged(
    tmp_path: Path,
    cache: Path,
    hub: Hub,
    other_host: Hub,
    tiny: Entry,
    said: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
) -> None:
    monkeypatch.setenv(variable, "hf_secret")
    hub.redirect_to = other_host.address
    other_host.files[HUB_PATH] = CONTENT
    fetch(tmp_path, ["tiny"], cache_dir=cache, progress=Progress(said))
    assert [headers.get("Authorization") for _, headers in hub.requests] == ["Bearer hf_secret"]
    assert [headers.get("Authorization") for _, headers in other_host.requests] == [None]
    assert "hf_secret" not in said.getvalue()


@pytest.mark.parametrize(
    ("to", "sent"),
    [
        ("https://hub.test/other", True),
        ("http://hub.test/other", False),
        ("https://hub.test:8443/other", False),
        ("https://cdn.test/other", False),
    ],
)
def test_a_redirect_takes_the_token_to_the_same_host_by_https_alone(to: str, sent: bool) -> None:
    request = Request("https://hub.test/file", headers={"Authorization": "Bearer hf_secret"})
    followed = web._Redirects().redirect_request(request, io.BytesIO(), 302, "Found", HTTPMessage(), to)
    assert followed is not None
    assert followed.has_header("Authorization") == sent


def test_an_invalid_endpoint_is_skipped_by_name(
    tmp_path: Path, cache: Path, tiny: Entry, said: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "hub.test")
    with pytest.raises(FetchError):
        fetch(tmp_path, ["tiny"], cache_dir=cache, progress=Progress(said))
    assert "HF_ENDPOINT" in said.getvalue()
