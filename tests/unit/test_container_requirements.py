"""Every package has a wheel: for the Python inside the images, and for both kinds of machines."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from importlib.metadata import distribution
from pathlib import Path

import pytest

from supervisor import pip_settings, requirements
from supervisor.cache import cache_folder
from supervisor.environments import ROOT, Environment
from supervisor.preflight import GLIBC_NEEDED, MACHINES

PYTHON = "3.12"
CONTAINER = "manylinux_2_39"
"""The glibc of Triton's image; the gateway's image has a newer one."""
EMBEDDED = "manylinux_{}_{}".format(*GLIBC_NEEDED)
PURE_SOURCES = {"jieba", "srt"}
"""Packages that are only published as sources, with nothing to compile."""


def resolve(files: Sequence[Path], platform: str, folder: Path) -> list[str]:
    """The pinned packages of requirements files for a platform, from wheels of the default package index alone.

    Other indexes and folders of wheels are this machine's, and may have the wheels of its own platform only.
    """
    local = {"extra-index-url", "find-links", "constraint"}
    settings = {name: value for name, value in pip_settings.read(os.environ).items() if name not in local}
    variables = {"UV_CACHE_DIR": str(cache_folder() / "uv-cache"), **os.environ}
    variables |= pip_settings.uv_variables(settings, os.environ)
    (folder / "excluded.txt").write_text("\n".join(PURE_SOURCES))
    command: list[str | Path] = [Path(sys.prefix, "bin", "uv"), "pip", "compile", "--quiet", "--no-header"]
    command += ["--no-annotate", "--only-binary=:all:", f"--excludes={folder / 'excluded.txt'}"]
    command += [f"--python-version={PYTHON}", f"--python-platform={platform}"]
    command += [*requirements.pip_options(files[0]), *files]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def together() -> dict[str, list[Path]]:
    """The requirements files by what they can be resolved with: the shared constraints, or a lock of their own."""
    groups: dict[str, list[Path]] = defaultdict(list)
    for name in sorted(requirements.names(ROOT)):
        for file in Environment(name).files:
            if requirements.pip_options(file):
                groups["triton" if name == "triton" else "without dependencies"].append(file)
            else:
                groups["constraints" if requirements.constraints(file) else name].append(file)
    return groups


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("group", sorted(together()))
def test_every_package_has_a_wheel(group: str, machine: str, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    files = together()[group]
    pins = [pin for file in files for pin in (*requirements.pins(file), *requirements.constraints(file).values())]
    state = [PYTHON, machine, EMBEDDED, *sorted(set(pins))]
    cache = getattr(pytestconfig, "cache", None)
    if cache and cache.get(f"wheels/{group}-{machine}", None) == state:
        return  # resolved before, and nothing has changed since
    packages = resolve(files, f"{machine}-{EMBEDDED if group == 'triton' else CONTAINER}", tmp_path)
    assert packages
    if group == "qwen":
        assert any(package.startswith("nvidia-cublas") for package in packages), "torch with CUDA"
    if cache:
        cache.set(f"wheels/{group}-{machine}", state)


def test_the_readme_names_what_lacks_cuda_on_aarch64() -> None:
    assert re.search(r"On aarch64, CTranslate2 comes\s+without CUDA", (ROOT / "README.md").read_text())


@pytest.mark.parametrize("name", sorted(PURE_SOURCES))
def test_a_package_without_wheels_needs_no_compiler(name: str) -> None:
    files = distribution(name).files
    assert files
    assert not [file for file in files if file.suffix in (".so", ".pyd")]
