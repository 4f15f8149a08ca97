from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from supervisor.weights import FetchError, Progress, bundle, fetch, missing
from supervisor.weights.manifest import Entry
from tests.unit.weights.conftest import CONTENT, HUB_PATH, Hub
from tests.unit.weights.test_packages import make_wheel


@pytest.fixture
def model_dir(tmp_path: Path, cache: Path, hub: Hub, tiny: Entry) -> Path:
    hub.files[HUB_PATH] = CONTENT
    fetch(tmp_path / "models", ["tiny"], cache_dir=cache)
    return tmp_path / "models"


@pytest.fixture
def requirements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_wheel(tmp_path / "index", "needed", {"needed.py": b"yes = True\n"})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    path = tmp_path / "gateway.txt"
    path.write_text("needed==1.0\n")
    return path


def test_a_bundle_unpacks_to_weights_and_wheels(
    tmp_path: Path, model_dir: Path, requirements: Path, progress: Progress
) -> None:
    packed = tmp_path / "out/tritone.tar"
    bundle.write(packed, model_dir, ["tiny"], [requirements], progress)
    with tarfile.open(packed, "r:") as tar:
        assert all(member.isreg() for member in tar)
        if hasattr(tarfile, "data_filter"):  # since Python 3.11.4
            tar.extraction_filter = tarfile.data_filter
        tar.extractall(tmp_path / "elsewhere")
    assert missing(tmp_path / "elsewhere/models", ["tiny"]) == []
    assert (tmp_path / "elsewhere/models/tiny/model.bin").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "elsewhere/wheels").iterdir()] == ["needed-1.0-py3-none-any.whl"]
    assert "PIP_NO_INDEX" in (tmp_path / "elsewhere/BUNDLE.txt").read_text()
    assert [path.name for path in packed.parent.iterdir()] == ["tritone.tar"]


def test_without_a_wheel_there_is_no_bundle(
    tmp_path: Path, model_dir: Path, requirements: Path, progress: Progress
) -> None:
    requirements.write_text("nowhere==1.0\n")
    with pytest.raises(FetchError, match="nowhere"):
        bundle.write(tmp_path / "out/tritone.tar", model_dir, ["tiny"], [requirements], progress)
    assert list((tmp_path / "out").iterdir()) == []
