from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from supervisor.weights import FetchError, Progress, fetch, manifest, missing
from supervisor.weights.manifest import Entry
from tests.unit.weights.conftest import CONTENT, HUB_PATH, HUB_SOURCE, Hub, write_manifest

_COMMAND = """
import sys
from pathlib import Path
from supervisor.weights import manifest
entries = manifest.read(Path(sys.argv[1]))
manifest.load = lambda: entries
from supervisor.weights.__main__ import main
sys.exit(main(sys.argv[2:]))
"""


def command(tmp_path: Path, model_dir: Path, cache: Path, *options: str) -> subprocess.Popen[str]:
    """`scripts/fetch_models tiny` with the manifest of this test."""
    arguments = [str(tmp_path / "manifest.toml"), "--model-dir", str(model_dir), *options, "tiny"]
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


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A manifest of `tiny` and `other`, an entry like it."""
    other = b"?" + CONTENT
    first = write_manifest(tmp_path / "tiny.toml", HUB_SOURCE, {"model.bin": CONTENT}).read_text()
    second = write_manifest(tmp_path / "other.toml", HUB_SOURCE, {"model.bin": other}).read_text()
    both = tmp_path / "both.toml"
    both.write_text(f"{first}\n{second.replace('tiny', 'other')}")
    entries = manifest.read(both)
    monkeypatch.setattr(manifest, "load", lambda: entries)


@pytest.mark.usefixtures("two")
def test_entries_are_fetched_side_by_side(tmp_path: Path, cache: Path, hub: Hub) -> None:
    hub.files = {HUB_PATH: CONTENT, HUB_PATH.replace("tiny", "other"): b"?" + CONTENT}
    hub.hold_after = 10
    with ThreadPoolExecutor(1) as pool:
        fetched = pool.submit(fetch, tmp_path, ["tiny", "other"], cache_dir=cache)
        deadline = time.monotonic() + 300
        while len(hub.requests) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        hub.held.set()
        fetched.result(300)
    assert missing(tmp_path, ["tiny", "other"]) == []


@pytest.mark.usefixtures("two")
def test_an_optional_entry_may_be_missing(tmp_path: Path, cache: Path, hub: Hub) -> None:
    hub.files = {HUB_PATH: CONTENT}
    fetch(tmp_path, ["tiny", "other"], cache_dir=cache, optional=["other"])
    assert missing(tmp_path, ["tiny", "other"]) == [tmp_path / "other" / "model.bin"]
    with pytest.raises(FetchError, match=r"other/model\.bin"):
        fetch(tmp_path, ["tiny", "other"], cache_dir=cache, optional=["tiny"])


def test_a_file_is_copied_if_it_cannot_be_linked(
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


def test_a_file_that_the_operator_put_there_is_kept(tmp_path: Path, cache: Path, hub: Hub, tiny: Entry) -> None:
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny/model.bin").write_bytes(CONTENT)
    fetch(tmp_path, ["tiny"], cache_dir=cache)
    assert hub.requests == []


CUSTOM = """
custom_if_changed = ["config.json", "model.bin"]
[[tiny.sources]]
hub = "owner/tiny@rev"
"""
PUBLISHED = {"config.json": b"{}", "model.bin": CONTENT, "vocab.json": b"words"}


@pytest.mark.parametrize("own", ["config.json", "model.bin"])
@pytest.mark.parametrize("verify", [False, True])
def test_a_checkpoint_of_the_operators_own_is_complete_and_unchanged(
    tmp_path: Path, cache: Path, hub: Hub, use_manifest: Callable[..., Entry], own: str, verify: bool
) -> None:
    use_manifest(CUSTOM, PUBLISHED)
    (tmp_path / "tiny").mkdir()
    for name in ("config.json", "model.bin"):
        (tmp_path / "tiny" / name).write_bytes(b"fine-tuned" if name == own else PUBLISHED[name])
    assert missing(tmp_path, ["tiny"]) == []
    fetch(tmp_path, ["tiny"], cache_dir=cache, verify=verify)
    assert hub.requests == []
    assert (tmp_path / "tiny" / own).read_bytes() == b"fine-tuned"


def test_a_published_model_with_a_missing_file_is_completed(
    tmp_path: Path, cache: Path, hub: Hub, use_manifest: Callable[..., Entry]
) -> None:
    use_manifest(CUSTOM, PUBLISHED)
    (tmp_path / "tiny").mkdir()
    for name in ("config.json", "model.bin"):
        (tmp_path / "tiny" / name).write_bytes(PUBLISHED[name])
    hub.files["/owner/tiny/resolve/rev/vocab.json"] = PUBLISHED["vocab.json"]
    fetch(tmp_path, ["tiny"], cache_dir=cache)
    assert (tmp_path / "tiny/vocab.json").read_bytes() == b"words"
    assert hub.paths == ["/owner/tiny/resolve/rev/vocab.json"]


def test_the_error_of_an_unserved_file_names_its_path_and_its_digest(
    tmp_path: Path, cache: Path, hub: Hub, tiny: Entry
) -> None:
    with pytest.raises(FetchError) as raised:
        fetch(tmp_path, ["tiny"], cache_dir=cache)
    (content,) = tiny.files["model.bin"]
    for part in (str(tmp_path / "tiny/model.bin"), str(content.size), content.sha256, tiny.page):
        assert part in str(raised.value)


def test_a_folder_that_cannot_be_written_is_answered_with_the_setting(
    tmp_path: Path, cache: Path, hub: Hub, tiny: Entry
) -> None:
    hub.files[HUB_PATH] = CONTENT
    (tmp_path / "file").touch()
    with pytest.raises(FetchError, match="set MODEL_DIR"):
        fetch(tmp_path / "file" / "models", ["tiny"], cache_dir=cache)
    assert hub.requests == []


@pytest.mark.parametrize(("options", "listed"), [([], True), (["--optional"], False)])
def test_optional_files_are_not_listed(
    tmp_path: Path, cache: Path, hub: Hub, tiny: Entry, options: list[str], listed: bool
) -> None:
    process = command(tmp_path, tmp_path, cache, *options)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "skipped: the host does not have it" in said
    assert ("put them there by hand" in said) is listed


def test_a_fetched_file_stays_if_another_is_missing(
    tmp_path: Path, cache: Path, hub: Hub, use_manifest: Callable[..., Entry]
) -> None:
    use_manifest(HUB_SOURCE + '"other.bin" = "other.bin"\n', {"other.bin": b"other", "model.bin": CONTENT})
    hub.files[HUB_PATH] = CONTENT
    with pytest.raises(FetchError):
        fetch(tmp_path, ["tiny"], cache_dir=cache)
    assert missing(tmp_path, ["tiny"]) == [tmp_path / "tiny/other.bin"]


def test_an_unknown_id_is_answered_with_the_known_ones(tmp_path: Path, tiny: Entry) -> None:
    with pytest.raises(FetchError, match="'huge'; choose from tiny"):
        missing(tmp_path, ["huge"])


def test_a_full_disk_is_reported_before_any_request(
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
    assert hub.holding.wait(300)
    second = command(tmp_path, tmp_path / "two", cache)
    assert second.stderr
    assert "waiting for another fetch" in second.stderr.readline()
    hub.held.set()
    for process in (first, second):
        process.communicate(timeout=300)
        assert process.returncode == 0
    assert hub.paths == [HUB_PATH]
    for clone in ("one", "two"):
        assert (tmp_path / clone / "tiny/model.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_fetch_reports_it_and_leaves_only_the_partial_download(
    tmp_path: Path, cache: Path, hub: Hub, tiny: Entry, by: signal.Signals
) -> None:
    hub.files[HUB_PATH] = CONTENT
    hub.hold_after = 40_000
    process = command(tmp_path, tmp_path / "one", cache)
    assert hub.holding.wait(300)
    process.send_signal(by)
    _, said = process.communicate(timeout=300)
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
