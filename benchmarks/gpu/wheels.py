"""Download of the wheels for a machine with torch but without a package index, to be carried there."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from supervisor.environments import Environment

_CONSTRAINTS = Path(__file__).parents[2] / "requirements" / "constraints.txt"
PACKAGES = (
    *("qwen-tts", "transformers", "tokenizers", "huggingface_hub", "accelerate", "safetensors", "regex", "psutil"),
    *("requests", "urllib3", "certifi", "idna", "charset-normalizer", "tqdm", "PyYAML", "filelock", "fsspec"),
    *("packaging", "typing_extensions"),
)
"""The requirements of qwen-tts besides torch and numpy. What reads recordings has stand-ins (see `bare`)."""
FASTER = ("faster-qwen3-tts==0.5.4", "qwen-tts-hf==0.1.1.post1", "transformers==5.16.1")
"""For faster-qwen3-tts, in a separate folder, on a Python with the requirements of transformers 5."""
WHISPER = ("ctranslate2", "faster-whisper", "tokenizers", "huggingface_hub", "tqdm", "PyYAML", "filelock", "fsspec")
"""For the part `whisper`, in a separate folder: most of it is CTranslate2. cuBLAS, of 550 MB, is not carried."""
_PYTHON = str(Path(sys.base_prefix) / "bin" / "python3")
"""The Python below the environment, which itself may have no pip."""
_GLIBC = ("2_17", "2_26", "2_27", "2_28", "2_31", "2_34")
_MOST = 50 << 20
"""Limit of the wheels, in bytes."""


def download(folder: Path, python_version: str) -> None:
    """Download the wheels of the locked versions, for x86_64 Linux; raises pip's errors."""
    _fetch(folder, _pinned(PACKAGES, Environment("qwen").files), python_version)
    _fetch(folder / "faster", FASTER, python_version)
    _fetch(folder / "whisper", _pinned(WHISPER, [_CONSTRAINTS]), python_version)


def _pinned(names: Sequence[str], locks: Sequence[Path]) -> list[str]:
    """Return the packages with the versions of the locks."""
    pins = dict(re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", "\n".join(lock.read_text() for lock in locks), re.MULTILINE))
    versions = {name.lower().replace("_", "-"): version for name, version in pins.items()}
    return [f"{name}=={versions[name.lower().replace('_', '-')]}" for name in names]


def _fetch(folder: Path, packages: Sequence[str], python_version: str) -> None:
    platforms = [f"--platform=manylinux_{glibc}_x86_64" for glibc in _GLIBC] + ["--platform=manylinux2014_x86_64"]
    options = ["--no-deps", "--only-binary=:all:", f"--python-version={python_version}", "--implementation=cp"]
    command = [_PYTHON, "-m", "pip", "download", "--quiet", *options, *platforms, f"--dest={folder}", *packages]
    subprocess.run(command, check=True)
    size = sum(wheel.stat().st_size for wheel in folder.glob("*.whl"))
    print(f"{folder}: {len(packages)} wheels, {size / 2**20:.1f} MB")
    if size > _MOST:
        raise SystemExit(f"{folder} is larger than {_MOST >> 20} MB")
