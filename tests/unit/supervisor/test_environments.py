"""Environments, built for real in a clone of their own: the module needs the standard library alone."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from supervisor import environments
from supervisor.environments import ROOT, Environment

SOURCES = ("__init__.py", "console.py", "environments.py")


BUILD_BACKEND = """
import zipfile

METADATA = "Metadata-Version: 2.1\\nName: tiny-package\\nVersion: 1.0\\nRequires-Dist: there-is-no-such-package\\n"
WHEEL = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"


def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "tiny_package-1.0-py3-none-any.whl"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        wheel.writestr("tiny_package.py", "")
        wheel.writestr("tiny_package-1.0.dist-info/METADATA", METADATA)
        wheel.writestr("tiny_package-1.0.dist-info/WHEEL", WHEEL)
        wheel.writestr("tiny_package-1.0.dist-info/RECORD", "")
    return name
"""
"""A package that asks for one that there is not, built without setuptools."""


class Clone:
    """A clone with one environment, `tiny`, that needs no network."""

    def __init__(self, root: Path, cache: Path, requirements: str = "# nothing\n-c constraints.txt\n") -> None:
        self.root = root
        self.cache = cache
        (root / "supervisor").mkdir(parents=True)
        for name in SOURCES:
            shutil.copy(ROOT / "supervisor" / name, root / "supervisor")
        (root / "requirements").mkdir()
        (root / "requirements" / "constraints.txt").write_text("attrs==26.1.0\n")
        (root / "requirements" / "tiny.txt").write_text(requirements)

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "supervisor.environments", *arguments],
            cwd=self.root,
            env={**os.environ, "TRITONE_CACHE": str(self.cache), "PIP_NO_INDEX": "1", **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str, **variables: str) -> tuple[int, str]:
        process = self.start(*arguments, **variables)
        said, _ = process.communicate(timeout=120)
        return process.returncode, said

    @property
    def built(self) -> list[Path]:
        return [path for path in (self.cache / "envs").iterdir() if path.is_dir()]


Building = tuple[Clone, list[tuple[int, str]]]


@pytest.fixture(scope="module")
def building(tmp_path_factory: pytest.TempPathFactory) -> Building:
    """A clone whose environment was left half-built, and what two builds at the same time made of it."""
    folder = tmp_path_factory.mktemp("environments")
    clone = Clone(folder / "clone", folder / "cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITONE_CACHE", str(clone.cache))
        half_built = Environment("tiny", clone.root).folder
    (half_built / "bin").mkdir(parents=True)
    (half_built / "bin" / "python").symlink_to(sys.executable)
    (half_built / "left over").touch()
    builds = [clone.start("--build", "tiny") for _ in range(2)]
    said = [build.communicate(timeout=120)[0] for build in builds]
    return clone, [(build.returncode, text) for build, text in zip(builds, said, strict=True)]


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    monkeypatch.setenv("TRITONE_CACHE", str(tmp_path / "cache"))
    Clone(tmp_path / "clone", tmp_path / "cache")
    return Environment("tiny", tmp_path / "clone")


def test_a_half_built_environment_is_built_again(building: Building) -> None:
    clone, builds = building
    assert [status for status, _ in builds] == [0, 0]
    (folder,) = clone.built
    assert not (folder / "left over").exists()
    assert clone.run("tiny", "-c", "import sys; print(sys.prefix)") == (0, f"{folder}\n")


def test_two_processes_build_an_environment_once(building: Building) -> None:
    _, builds = building
    assert "".join(said for _, said in builds).count("environment tiny: building\n") == 1


def test_the_link_in_the_clone_leads_to_the_environment(building: Building) -> None:
    clone, _ = building
    assert [(clone.root / "envs" / "tiny").resolve()] == clone.built


def test_a_second_clone_builds_nothing(building: Building, tmp_path: Path) -> None:
    first, _ = building
    second = Clone(tmp_path / "second", first.cache)
    assert second.run("--build", "tiny") == (0, "")
    assert (second.root / "envs" / "tiny").resolve() == (first.root / "envs" / "tiny").resolve()


@pytest.mark.parametrize("arguments", [("tiny", "-c", "pass"), ("--build", "tiny"), ("--build", "tiny", "tiny")])
def test_an_environment_notes_when_it_was_last_used(building: Building, arguments: tuple[str, ...]) -> None:
    clone, _ = building
    (folder,) = clone.built
    os.utime(folder / environments.MARKER, (0, 0))
    assert clone.run(*arguments)[0] == 0
    assert (folder / environments.MARKER).stat().st_mtime > 0


def test_a_linked_environment_is_used_whatever_the_cache_folder_is(building: Building, tmp_path: Path) -> None:
    clone, _ = building
    assert clone.run("tiny", "-c", "print('here')", TRITONE_CACHE=str(tmp_path)) == (0, "here\n")
    assert not list(tmp_path.iterdir())


def test_the_callers_modules_do_not_reach_an_environment(building: Building) -> None:
    clone, _ = building
    code = "import os, sys; print('/elsewhere' in sys.path, os.environ.get('PYTHONPATH'), sys.flags.no_user_site)"
    assert clone.run("tiny", "-c", code, PYTHONPATH="/elsewhere") == (0, "False None 1\n")


def test_a_program_of_the_environment_is_run_by_its_name(building: Building) -> None:
    clone, _ = building
    status, said = clone.run("tiny", "pip", "--version")
    assert status == 0
    assert str(clone.built[0]) in said


def test_what_pip_says_is_shown_when_it_fails_and_nothing_stays(tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone", tmp_path / "cache", "there-is-no-such-package\n")
    status, said = clone.run("--build", "tiny")
    assert status == 1
    assert "environment tiny could not be built:\n" in said
    assert "No matching distribution found for there-is-no-such-package" in said
    assert clone.built == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_build_that_is_interrupted_leaves_nothing_and_prints_no_traceback(
    tmp_path: Path, number: signal.Signals
) -> None:
    clone = Clone(tmp_path / "clone", tmp_path / "cache")
    build = clone.start("--build", "tiny")
    assert build.stdout
    assert build.stdout.readline() == "environment tiny: building\n"
    build.send_signal(number)
    said, _ = build.communicate(timeout=60)
    assert (build.returncode, said) == (130, "")
    assert clone.built == []


def test_an_unknown_name_is_told_with_those_that_there_are(tmp_path: Path) -> None:
    status, said = Clone(tmp_path / "clone", tmp_path / "cache").run("--build", "tinny")
    assert status == 2
    assert said.startswith("name an environment: tiny\n")


def test_a_changed_constraint_makes_another_environment(environment: Environment) -> None:
    before = environment.folder
    (environment.root / "requirements" / "constraints.txt").write_text("attrs==26.2.0\n")
    assert Environment("tiny", environment.root).folder != before


def test_a_package_that_is_installed_without_what_it_asks_for_belongs_to_the_environment(
    environment: Environment,
) -> None:
    before = environment.folder
    environment.bare_requirements.parent.mkdir()
    environment.bare_requirements.write_text("tiny-package==1.0\n")
    assert Environment("tiny", environment.root).folder != before


def test_such_a_package_is_installed_after_the_others_and_alone(tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone", tmp_path / "cache")
    package = tmp_path / "package"
    package.mkdir()
    (package / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "build"\nbackend-path = ["."]\n'
    )
    (package / "build.py").write_text(BUILD_BACKEND)
    (clone.root / "requirements" / "no-deps").mkdir()
    (clone.root / "requirements" / "no-deps" / "tiny.txt").write_text(f"{package}\n")
    assert clone.run("--build", "tiny")[0] == 0
    assert clone.run("tiny", "-c", "import tiny_package") == (0, "")


def test_a_changed_comment_makes_no_other_environment(environment: Environment) -> None:
    before = environment.folder
    environment.requirements.write_text("# something else\n-c constraints.txt  # and here\n\n")
    assert Environment("tiny", environment.root).folder == before


def test_another_interpreter_makes_another_environment(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = environment.folder
    monkeypatch.setattr(sys, "base_prefix", "/elsewhere")
    assert Environment("tiny", environment.root).folder != before


def test_a_folder_in_the_links_place_is_taken_as_it_is(environment: Environment) -> None:
    (environment.link / "bin").mkdir(parents=True)
    (environment.link / "bin" / "python").symlink_to(sys.executable)
    environment.ensure()
    assert environment.folder == environment.link


def test_an_environment_whose_interpreter_is_gone_does_not_stand(environment: Environment) -> None:
    (environment.folder / "bin").mkdir(parents=True)
    (environment.folder / "complete").touch()
    environment.python.symlink_to("/there/is/no/python")
    assert not environment.stands


@pytest.mark.parametrize("version", [(3, 10, 12), (3, 13, 0)])
def test_an_unsuitable_python_is_told_in_one_line_where_there_is_no_other(
    version: tuple[int, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    monkeypatch.setenv("PATH", "/nowhere")
    assert environments.main(["tiny"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("Tritone needs Python 3.11 or 3.12, and this is ")
    assert said.count("\n") == 1


def test_a_suitable_python_on_the_path_takes_over_from_an_unsuitable_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class TakenOver(Exception):
        pass

    def take_over(program: str, arguments: list[str]) -> None:
        raise TakenOver(program, arguments)

    (tmp_path / "python3.12").write_text("#!/bin/sh\nexit 127\n")
    (tmp_path / "python3.11").write_text("#!/bin/sh\necho /usr/bin/python3.11\n")
    for name in ("python3.12", "python3.11"):
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "version_info", (3, 10, 12))
    monkeypatch.setattr(os, "execv", take_over)
    with pytest.raises(TakenOver) as taken:
        environments.main(["tiny", "-c", "pass"])
    python = "/usr/bin/python3.11"
    assert taken.value.args == (python, [python, "-m", "supervisor.environments", "tiny", "-c", "pass"])


@pytest.mark.parametrize(("name", "free", "needed"), [("kokoro", 1, 1536), ("qwen", 4, 8192)])
def test_an_environment_is_not_begun_where_it_has_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, free: int, needed: int
) -> None:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / f"{name}.txt").touch()
    monkeypatch.setenv("TRITONE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free << 30))
    with pytest.raises(environments.BuildError, match=f"{free << 10} MB are free in .* and {needed} are needed"):
        Environment(name, tmp_path).ensure()
