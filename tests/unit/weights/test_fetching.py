from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from supervisor.weights import FetchError, Progress, fetch, missing
from supervisor.weights.manifest import Entry
from tests.unit.weights.conftest import CONTENT, HUB_PATH, HUB_SOURCE, Hub

_COMMAND = """
import sys
from pathlib import Path
from supervisor.weights import manifest
entries = manifest.load(Path(sys.argv[1]))
manifest.load = lambda: entries
from supervisor.weights.__main__ import main
sys.exit(main(sys.argv[2:]))
"""


def command(tmp_path: Path, model_dir: Path, cache: Path) -> subprocess.Popen[str]:
    """`scripts/fetch_models tiny` with the manifest of this test."""
    arguments = [str(tmp_path / "manifest.toml"), "--model-dir", str(model_dir), "tiny"]
    environment = os.environ | {"TRITONE_CACHE": str(cache)}
    return subprocess.Popen(
        [sys.executable, "-c", _COMMAND, *arguments], env=environment, stderr=subprocess.PIPE, text=True
    )


def test_a_second_clone_fetches_nothing_and_shares_the_bytes(
    tmp_path: Path, cache: Path, hub: Hub, tiny: Entry
) -> None:
    hub.files[HUB_PATH] = CONTENT
    fetch(tmp_path / "one", ["tiny"], cache_dir=cache)
    hub.requests.clear()
    fetch(tmp_path / "two", ["tiny"], cache_dir=cache)
    assert hub.requests == []
    assert (tmp_path / "one/tiny/model.bin").samefile(tmp_path / "two/tiny/model.bin")


def test_where_no_link_can_be_made_the_file_is_copied(
    tmp_path: Path, cache: Path, hub: Hub, tiny: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    hub.files[HUB_PATH] = CONTENT
    fetch(tmp_path, ["tiny"], cache_dir=cache)
    assert [path.name for path in (tmp_path / "tiny").iterdir()] == ["model.bin"]
    assert (tmp_path / "tiny/model.bin").read_bytes() == CONTENT


def test_a_cached_file_of_the_wrong_size_is_fetched_again(tmp_path: Path, cache: Path, hub: Hub, tiny: Entry) -> None:
    hub.files[HUB_PATH] = CONTENT
    fetch(tmp_path / "one", ["tiny"], cache_dir=cache)
    damage(blob(cache), CONTENT[:100])
    fetch(tmp_path / "two", ["tiny"], cache_dir=cache)
    assert (tmp_path / "two/tiny/model.bin").read_bytes() == CONTENT


def test_verify_finds_damage_that_keeps_the_size(
    tmp_path: Path, cache: Path, hub: Hub, tiny: Entry, said: io.StringIO
) -> None:
    hub.files[HUB_PATH] = CONTENT
    fetch(tmp_path, ["tiny"], cache_dir=cache)
    damage(blob(cache), b"?" + CONTENT[1:])  # and through the link, the file in MODEL_DIR
    fetch(tmp_path, ["tiny"], cache_dir=cache)
    assert (tmp_path / "tiny/model.bin").read_bytes() != CONTENT
    fetch(tmp_path, ["tiny"], cache_dir=cache, verify=True, progress=Progress(said))
    assert (tmp_path / "tiny/model.bin").read_bytes() == CONTENT
    assert said.getvalue().count("was damaged") == 2


def test_verify_leaves_sound_files_alone(tmp_path: Path, cache: Path, hub: Hub, tiny: Entry) -> None:
    hub.files[HUB_PATH] = CONTENT
    fetch(tmp_path, ["tiny"], cache_dir=cache)
    hub.requests.clear()
    fetch(tmp_path, ["tiny"], cache_dir=cache, verify=True)
    assert hub.requests == []


def test_a_file_put_there_by_hand_is_taken(tmp_path: Path, cache: Path, hub: Hub, tiny: Entry) -> None:
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny/model.bin").write_bytes(CONTENT)
    fetch(tmp_path, ["tiny"], cache_dir=cache)
    assert hub.requests == []


def test_what_nobody_serves_is_named_with_where_it_belongs(tmp_path: Path, cache: Path, hub: Hub, tiny: Entry) -> None:
    with pytest.raises(FetchError) as raised:
        fetch(tmp_path, ["tiny"], cache_dir=cache)
    (content,) = tiny.files["model.bin"]
    for part in (str(tmp_path / "tiny/model.bin"), str(content.size), content.sha256, tiny.page):
        assert part in str(raised.value)


def test_what_was_served_stays_when_another_file_is_missing(
    tmp_path: Path, cache: Path, hub: Hub, use_manifest: Callable[..., Entry]
) -> None:
    use_manifest(HUB_SOURCE + '"other.bin" = "other.bin"\n', {"other.bin": b"other", "model.bin": CONTENT})
    hub.files[HUB_PATH] = CONTENT
    with pytest.raises(FetchError):
        fetch(tmp_path, ["tiny"], cache_dir=cache)
    assert missing(tmp_path, ["tiny"]) == [tmp_path / "tiny/other.bin"]


def test_an_unknown_id_is_told_with_those_that_there_are(tmp_path: Path, tiny: Entry) -> None:
    with pytest.raises(FetchError, match="'huge'; there are: tiny"):
        missing(tmp_path, ["huge"])


def test_a_full_disk_is_told_before_anything_is_asked(
    tmp_path: Path, cache: Path, hub: Hub, tiny: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(FetchError, match="not enough disk space"):
        fetch(tmp_path, ["tiny"], cache_dir=cache)
    assert hub.requests == []


def test_two_processes_at_once_fetch_each_file_once(tmp_path: Path, cache: Path, hub: Hub, tiny: Entry) -> None:
    hub.files[HUB_PATH] = CONTENT
    hub.hold_after = 40_000
    first = command(tmp_path, tmp_path / "one", cache)
    assert hub.holding.wait(30)
    second = command(tmp_path, tmp_path / "two", cache)
    assert second.stderr
    assert "waiting for another fetch" in second.stderr.readline()
    hub.held.set()
    for process in (first, second):
        process.communicate(timeout=30)
        assert process.returncode == 0
    assert hub.paths == [HUB_PATH]
    for clone in ("one", "two"):
        assert (tmp_path / clone / "tiny/model.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_fetch_says_so_and_leaves_only_what_resumes(
    tmp_path: Path, cache: Path, hub: Hub, tiny: Entry, by: signal.Signals
) -> None:
    hub.files[HUB_PATH] = CONTENT
    hub.hold_after = 40_000
    process = command(tmp_path, tmp_path / "one", cache)
    assert hub.holding.wait(30)
    process.send_signal(by)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in said
    left = [path.relative_to(cache).parts[1] for path in cache.rglob("*") if path.is_file()]
    assert sorted(left) in (["lock"], ["lock", "partial"])
    assert not (tmp_path / "one/tiny").exists()


def blob(cache: Path) -> Path:
    (path,) = (cache / "weights/blobs").iterdir()
    return path


def damage(path: Path, content: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(content)
