"""Environments, built in a clone of their own: the module needs only the standard library."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from supervisor import environments, requirements
from supervisor.cache import BuildError
from supervisor.environments import ROOT, Environment
from tests.ports import free_ports

SOURCES = (
    "__init__.py",
    "cache.py",
    "console.py",
    "environments.py",
    "installer.py",
    "interpreter.py",
    "pip_settings.py",
    "requirements.py",
)


BUILD_BACKEND = """
import zipfile

METADATA = "Metadata-Version: 2.1\\nName: tiny-package\\nVersion: 1.0\\n{requires}"
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
"""A package that is built without setuptools."""
REQUIRES = "Requires-Dist: there-is-no-such-package\\n"


def package(folder: Path, requires: str = "") -> Path:
    """The sources of `tiny-package` in a folder."""
    sources = folder / "package"
    sources.mkdir()
    (sources / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "build"\nbackend-path = ["."]\n'
    )
    (sources / "build.py").write_text(BUILD_BACKEND.replace("{requires}", requires))
    return sources


class Clone:
    """A clone with the environment `tiny`, which needs no network."""

    def __init__(self, root: Path, cache: Path, requirements: str = "# nothing\n-c constraints.txt\n") -> None:
        self.root = root
        self.cache = cache
        (root / "supervisor").mkdir(parents=True)
        for name in SOURCES:
            shutil.copy(ROOT / "supervisor" / name, root / "supervisor")
        (root / "requirements").mkdir()
        (root / "requirements" / "constraints.txt").write_text("attrs==26.1.0\nuv==0.13.9\n")
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
        said, _ = process.communicate(timeout=900)
        return process.returncode, said

    @property
    def built(self) -> list[Path]:
        return [path for path in (self.cache / "envs").iterdir() if path.is_dir()]


Building = tuple[Clone, list[tuple[int, str]]]


@pytest.fixture(scope="module")
def building(tmp_path_factory: pytest.TempPathFactory) -> Building:
    """A clone with a half-built environment, and the results of two builds of it at the same time."""
    folder = tmp_path_factory.mktemp("environments")
    clone = Clone(folder / "clone", folder / "cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITONE_CACHE", str(clone.cache))
        half_built = Environment("tiny", clone.root).folder
    (half_built / "bin").mkdir(parents=True)
    (half_built / "bin" / "python").symlink_to(sys.executable)
    (half_built / "left over").touch()
    builds = [clone.start("--build", "tiny") for _ in range(2)]
    said = [build.communicate(timeout=900)[0] for build in builds]
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
def test_an_environment_records_its_last_use(building: Building, arguments: tuple[str, ...]) -> None:
    clone, _ = building
    (folder,) = clone.built
    os.utime(folder / environments.MARKER, (0, 0))
    assert clone.run(*arguments)[0] == 0
    assert (folder / environments.MARKER).stat().st_mtime > 0


def test_a_linked_environment_is_used_whatever_the_cache_folder_is(building: Building, tmp_path: Path) -> None:
    clone, _ = building
    assert clone.run("tiny", "-c", "print('here')", TRITONE_CACHE=str(tmp_path)) == (0, "here\n")
    assert not list(tmp_path.iterdir())


def test_the_callers_python_path_does_not_reach_an_environment(building: Building) -> None:
    clone, _ = building
    code = "import os, sys; print('/elsewhere' in sys.path, os.environ.get('PYTHONPATH'), sys.flags.no_user_site)"
    assert clone.run("tiny", "-c", code, PYTHONPATH="/elsewhere") == (0, "False None 1\n")


def test_a_program_of_the_environment_runs_by_its_name(building: Building) -> None:
    clone, _ = building
    (folder,) = clone.built
    program = folder / "bin" / "where"
    program.write_text('#!/bin/sh\necho "$0"\n')
    program.chmod(0o755)
    assert clone.run("tiny", "where") == (0, f"{program}\n")
    status, told = clone.run("tiny", "nowhere")
    assert status == 127
    assert told.endswith("nowhere cannot be run in environment tiny: No such file or directory\n")
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("tool", "reason"),
    [
        ("uv", "Because there-is-no-such-package was not found in the provided package locations"),
        ("pip", "No matching distribution found for there-is-no-such-package"),
    ],
)
def test_a_failed_build_shows_the_output_of_the_installer_and_leaves_nothing(
    tmp_path: Path, tool: str, reason: str
) -> None:
    clone = Clone(tmp_path / "clone", tmp_path / "cache", "there-is-no-such-package\n")
    status, said = clone.run("--build", "tiny", TRITONE_INSTALLER=tool)
    assert status == 1
    assert "environment tiny could not be built:\n" in said
    assert reason in " ".join(said.split()), "uv wraps its lines"
    assert ("TRITONE_INSTALLER=pip builds it with pip" in said) == (tool == "uv")
    assert clone.built == []


@pytest.mark.parametrize("tool", ["uv", "pip"])
def test_a_build_without_the_package_index_says_that_it_cannot_be_reached(tmp_path: Path, tool: str) -> None:
    (port,) = free_ports(1)
    index = {"PIP_INDEX_URL": f"http://127.0.0.1:{port}/simple", "PIP_NO_INDEX": "0", "UV_HTTP_RETRIES": "0"}
    clone = Clone(tmp_path / "clone", tmp_path / "cache", "there-is-no-such-package\n")
    status, said = clone.run("--build", "tiny", TRITONE_INSTALLER=tool, PIP_RETRIES="1", **index)
    assert status == 1
    assert "the package index cannot be reached" in said.splitlines()[-1]


def test_a_clone_that_cannot_be_written_is_answered_with_what_is_needed(tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone", tmp_path / "cache")
    (clone.root / "envs").touch()
    status, said = clone.run("--build", "tiny", TRITONE_INSTALLER="pip")
    assert status == 1
    assert said.endswith(": use a clone that you may write\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_build_that_is_interrupted_leaves_nothing_and_prints_no_traceback(
    tmp_path: Path, number: signal.Signals
) -> None:
    clone = Clone(tmp_path / "clone", tmp_path / "cache")
    build = clone.start("--build", "tiny")
    assert build.stdout
    assert build.stdout.readline() == "environment tiny: building\n"
    build.send_signal(number)
    said, _ = build.communicate(timeout=900)
    assert (build.returncode, said) == (130, "")
    assert clone.built == []


def test_an_unknown_environment_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    status, said = Clone(tmp_path / "clone", tmp_path / "cache").run("--build", "tinny")
    assert status == 2
    assert said.startswith("name an environment: tiny\n")


def test_an_environment_serves_until_the_constraint_of_one_of_its_packages_changes(tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone", tmp_path / "cache", f"-c constraints.txt\n{package(tmp_path)}\n")
    assert clone.run("--build", "tiny")[0] == 0
    before = clone.built
    constraints = clone.root / "requirements" / "constraints.txt"
    constraints.write_text("attrs==26.2.0\nanother==1\n")
    assert clone.run("--build", "tiny") == (0, "")
    assert (clone.root / "envs" / "tiny").resolve() == before[0]
    (clone.root / "envs" / "tiny").unlink()  # as in another clone
    assert clone.run("--build", "tiny") == (0, "")
    constraints.write_text("attrs==26.2.0\nTiny_Package==1.0\n")
    assert clone.run("--build", "tiny")[0] == 0
    assert len(clone.built) == 2


def test_a_package_without_dependencies_is_part_of_the_environments_identity(
    environment: Environment,
) -> None:
    before = environment.folder
    environment.bare_requirements.parent.mkdir()
    environment.bare_requirements.write_text("tiny-package==1.0\n")
    assert Environment("tiny", environment.root).folder != before


@pytest.mark.parametrize("tool", ["uv", "pip"])
@pytest.mark.parametrize(
    ("comment", "variables", "compiled"),
    [("", {}, False), ("# tritone: compiled\n", {}, True), ("", {"UV_COMPILE_BYTECODE": "1"}, True)],
    ids=["plain", "compiled", "variable"],
)
def test_a_no_deps_package_is_built_without_its_dependencies_and_compiled_where_asked(
    tmp_path: Path, tool: str, comment: str, variables: dict[str, str], *, compiled: bool
) -> None:
    clone = Clone(tmp_path / "clone", tmp_path / "cache", f"{comment}# nothing\n-c constraints.txt\n")
    (clone.root / "requirements" / "no-deps").mkdir()
    (clone.root / "requirements" / "no-deps" / "tiny.txt").write_text(f"{package(tmp_path, REQUIRES)}\n")
    assert clone.run("--build", "tiny", TRITONE_INSTALLER=tool, **variables)[0] == 0
    written = "import pathlib, tiny_package; print(pathlib.Path(tiny_package.__cached__).exists())"
    assert clone.run("tiny", "-B", "-c", written) == (0, f"{compiled}\n")


def test_pip_builds_where_uv_cannot_be_fetched_and_says_so(tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone", tmp_path / "cache")
    status, said = clone.run("--build", "tiny", PATH=os.defpath)
    assert status == 0
    assert "uv cannot be fetched (ERROR: No matching distribution found for uv==" in said
    assert "): pip builds the environments, which takes longer\n" in said


def test_the_build_fails_where_uv_is_demanded_and_cannot_be_fetched(tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone", tmp_path / "cache")
    status, said = clone.run("--build", "tiny", PATH=os.defpath, TRITONE_INSTALLER="uv")
    assert status == 1
    assert "TRITONE_INSTALLER=uv, but uv cannot be fetched" in said


def test_an_unknown_installer_is_rejected_with_the_known_ones(tmp_path: Path) -> None:
    status, said = Clone(tmp_path / "clone", tmp_path / "cache").run("--build", "tiny", TRITONE_INSTALLER="conda")
    assert status == 1
    assert "TRITONE_INSTALLER=conda must be `uv`, `pip` or `auto`" in said


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


def test_a_real_folder_in_the_links_place_is_used(environment: Environment) -> None:
    (environment.link / "bin").mkdir(parents=True)
    (environment.link / "bin" / "python").symlink_to(sys.executable)
    environment.ensure()
    assert environment.folder == environment.link


def test_an_environment_without_its_interpreter_is_not_complete(environment: Environment) -> None:
    (environment.folder / "bin").mkdir(parents=True)
    (environment.folder / "complete").touch()
    environment.python.symlink_to("/there/is/no/python")
    assert not environment.is_complete


@pytest.mark.parametrize(("comment", "free", "needed"), [("", 1, 1536), ("# tritone: needs 8 GB of disk\n", 4, 8192)])
def test_a_build_does_not_start_without_its_disk_space(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, comment: str, free: int, needed: int
) -> None:
    environment.requirements.write_text(f"{comment}-c constraints.txt\n")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free << 30))
    with pytest.raises(BuildError, match=f"{free << 10} MB are free in .* and {needed} are needed"):
        environment.ensure()


def test_a_file_of_the_models_folder_keeps_its_identity_with_a_relative_constraint(environment: Environment) -> None:
    before = environment.folder
    models = environment.root / "requirements" / "models"
    models.mkdir()
    environment.requirements.rename(models / "tiny.txt")
    (models / "tiny.txt").write_text("-c ../constraints.txt\n")
    moved = Environment("tiny", environment.root)
    assert moved.requirements == models / "tiny.txt"
    assert moved.folder == before


def test_models_means_the_models_environments_and_all_means_every_one_but_the_optional(tmp_path: Path) -> None:
    files = {
        "constraints.txt": "a==1\n",
        "gateway.txt": "a\n",
        "extra.txt": "# tritone: optional\na\n",
        "no-deps/server.txt": "b==1\n",
        "models/speech.txt": "a\n",
        "models/no-deps/speech.txt": "b==1\n",
    }
    for name, text in files.items():
        path = tmp_path / "requirements" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert requirements.names(tmp_path, "models") == ["speech"]
    assert sorted(requirements.names(tmp_path, "all")) == ["gateway", "server", "speech"]
    assert sorted(requirements.names(tmp_path)) == ["extra", "gateway", "server", "speech"]


def test_a_group_builds_each_of_its_environments(tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone", tmp_path / "cache")
    (clone.root / "requirements" / "tiny.txt").rename(clone.root / "requirements" / "other.txt")
    (clone.root / "requirements" / "models").mkdir()
    (clone.root / "requirements" / "models" / "tiny.txt").write_text("# nothing\n")
    assert clone.run("--build", "models")[0] == 0
    assert [path.name.partition("-")[0] for path in clone.built] == ["tiny"]
