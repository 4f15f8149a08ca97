"""The choice of the Python that builds the environments."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import sys
import tarfile
from pathlib import Path

import pytest

from supervisor import environments, interpreter
from supervisor.cache import BuildError
from supervisor.environments import ROOT

MANAGED = "cpython-3.12.99-linux-{}-gnu".format({"arm64": "aarch64"}.get(platform.machine(), platform.machine()))


def fake(path: Path, said: str) -> Path:
    """A program in place of a Python, which answers to `-m supervisor.interpreter`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\nprintf '{said}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with uv and an unsupported Python."""
    for name in ("PYTHON", "PYENV_ROOT", "XDG_DATA_HOME", "UV_PYTHON_INSTALL_DIR", "UV_PYTHON_DOWNLOADS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "bin").mkdir()
    uv = shutil.which("uv")
    assert uv, "the environment `dev` has it"
    (tmp_path / "bin" / "uv").symlink_to(uv)
    variables = {"PATH": tmp_path / "bin", "HOME": tmp_path / "home", "TRITONE_CACHE": tmp_path / "cache"}
    for name, value in (variables | {"PIP_NO_INDEX": "1", "UV_OFFLINE": "1"}).items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr(sys, "version_info", (3, 13, 0))
    return tmp_path


@pytest.fixture
def downloads(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source of interpreters for uv: an archive with one."""
    program = fake(machine / "archive" / "bin" / "python3.12", "%s\\n/lib/libpython3.12.so.1.0\\n")
    program.write_text(program.read_text().rstrip() + ' "$0"\n')
    (machine / "archive" / "lib" / "python3.12").mkdir(parents=True)
    archive = machine / "python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(machine / "archive", "python")
    entry = {
        "name": "cpython",
        "arch": {"family": MANAGED.split("-")[3], "variant": None},
        "os": "linux",
        "libc": "gnu",
        **{"major": 3, "minor": 12, "patch": 99, "prerelease": "", "variant": None, "build": "20261001"},
        "url": archive.as_uri(),
        "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
    }
    (machine / "downloads.json").write_text(json.dumps({MANAGED: entry}))
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS_JSON_URL", str(machine / "downloads.json"))


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("bin", "python3.11"),
        ("home/.pyenv/versions/3.12.1/bin", "python3.12"),
        ("home/.local/share/uv/python/cpython-3.11.9-linux-x86_64-gnu/bin", "python3.11"),
        ("cache/python/cpython-3.12.9-linux-x86_64-gnu/bin", "python3.12"),
    ],
    ids=["PATH", "pyenv", "uv", "cache"],
)
def test_a_supported_python_of_the_machine_replaces_an_unsupported_one(machine: Path, place: str, name: str) -> None:
    fake(machine / place / name, "/found/python\\n/lib/libpython.so\\n")
    assert interpreter.replacement(ROOT) == "/found/python"


def test_a_python_with_its_library_is_better_than_one_without(machine: Path) -> None:
    fake(machine / "bin" / "python3.12", "/without/python\\n\\n")
    fake(machine / "bin" / "python3.11", "/with/python\\n/lib/libpython.so\\n")
    assert interpreter.replacement(ROOT) == "/with/python"


def test_a_python_that_does_not_run_is_passed_over(machine: Path) -> None:
    (machine / "bin" / "python3.12").write_text("#!/bin/sh\nexit 127\n")
    (machine / "bin" / "python3.12").chmod(0o755)
    fake(machine / "bin" / "python3.11", "/found/python\\n/lib/libpython.so\\n")
    assert interpreter.replacement(ROOT) == "/found/python"


def test_a_supported_python_with_its_library_stays(monkeypatch: pytest.MonkeyPatch, machine: Path) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 11, 7))
    monkeypatch.setattr(interpreter, "find_libpython", lambda: machine)
    assert interpreter.replacement(ROOT) is None


def test_a_supported_python_that_was_named_stays_without_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 11, 7))
    monkeypatch.setattr(interpreter, "find_libpython", lambda: None)
    monkeypatch.setenv("PYTHON", "python3")
    assert interpreter.replacement(ROOT) is None


@pytest.mark.usefixtures("downloads")
@pytest.mark.parametrize("version", [(3, 9, 2), (3, 13, 0), (3, 11, 2)])
def test_uv_installs_a_python_where_none_is_usable_and_says_so(
    machine: Path, version: tuple[int, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    monkeypatch.setattr(interpreter, "find_libpython", lambda: None)
    expected = str(machine / "cache" / "python" / MANAGED / "bin" / "python3.12")
    assert interpreter.replacement(ROOT) == expected
    assert capsys.readouterr().out == (
        f"uv installs Python 3.12 into {machine / 'cache' / 'python'}, because there is no 3.11 or 3.12 with its "
        "shared library (TRITONE_MANAGED_PYTHON=false forbids it)\n"
    )
    assert interpreter.replacement(ROOT) == expected
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("downloads")
@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("TRITONE_MANAGED_PYTHON", "false", "TRITONE_MANAGED_PYTHON=false forbids uv to install one"),
        ("UV_PYTHON_DOWNLOADS", "never", "Python downloads are not allowed"),
        ("UV_PYTHON_DOWNLOADS_JSON_URL", "/there/is/none.json", "uv could not install one: "),
        ("PATH", "/nowhere", "uv cannot be fetched"),
    ],
)
def test_without_a_managed_python_the_start_fails_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, value: str, reason: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert environments.main(["supervisor"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("Tritone needs Python 3.11 or 3.12, and this is ")
    assert reason in said
    assert said.count("\n") == 1


@pytest.mark.usefixtures("downloads")
def test_a_python_that_only_lacks_its_library_is_kept_where_none_can_be_installed(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 11, 2))
    monkeypatch.setattr(interpreter, "find_libpython", lambda: None)
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    assert [interpreter.replacement(ROOT) for _ in range(2)] == [None, None]
    assert capsys.readouterr().out.count("uv installs Python") == 1, "it is not tried again soon"


def test_another_python_gets_the_same_command(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class TakenOver(Exception):
        pass

    def take_over(program: str, arguments: list[str], variables: dict[str, str]) -> None:
        raise TakenOver(program, arguments, variables["PYTHON"])

    fake(machine / "bin" / "python3.12", "/found/python\\n/lib/libpython.so\\n")
    monkeypatch.setattr(os, "execve", take_over)
    with pytest.raises(TakenOver) as taken:
        environments.main(["dev", "-c", "pass"])
    arguments = ["/found/python", "-m", "supervisor.environments", "dev", "-c", "pass"]
    assert taken.value.args == ("/found/python", arguments, "/found/python")


def test_a_missing_cache_folder_is_one_line_of_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITONE_CACHE", "/proc/nowhere")
    with pytest.raises(BuildError, match="set TRITONE_CACHE to a writable folder"):
        interpreter.replacement(ROOT)
