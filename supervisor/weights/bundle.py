"""A file for a machine without a network: weights, and wheels for every environment."""

from __future__ import annotations

import io
import platform
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from supervisor.requirements import pip_options
from supervisor.weights.errors import FetchError, SourceError
from supervisor.weights.fetching import check_space, entries
from supervisor.weights.packages import run
from supervisor.weights.progress import Progress

_BUILD_QUIET_S = 120.0
_README = """Tritone for a machine without a network: {ids}

models/   the weights. Copy them into MODEL_DIR, by default models/ in the clone.
wheels/   the Python packages, for Python {python} on {platform}.

In the clone:

    tar -xf {bundle}
    export PIP_NO_INDEX=1 PIP_FIND_LINKS="$PWD/wheels"
    scripts/serve

The two variables are only needed until the environments are built.
"""


def write(bundle: Path, model_dir: Path, ids: Sequence[str], requirements: Iterable[Path], progress: Progress) -> None:
    """Pack `ids`, which must be complete in MODEL_DIR, and wheels for the requirements files into an uncompressed tar.

    The file appears complete or not at all. Raises `FetchError` if a wheel cannot be obtained, or the disk is full.
    """
    files = [(f"{entry.id}/{name}", blobs[0].size) for entry in entries(ids) for name, blobs in entry.files.items()]
    try:
        bundle.parent.mkdir(parents=True, exist_ok=True)
        check_space(bundle.parent, sum(size for _, size in files))
        with tempfile.TemporaryDirectory(dir=bundle.parent, prefix=f".{bundle.name}.") as scratch:
            wheels = Path(scratch) / "wheels"
            wheels.mkdir()
            for path in requirements:
                progress.info(f"wheels of {path.name}")
                _collect(path, wheels, progress)
            packed = Path(scratch) / "bundle"
            with tarfile.open(packed, "w", dereference=True) as tar:
                _add_text(tar, "BUNDLE.txt", _readme(bundle, ids))
                for name, _ in files:
                    progress.bytes(bundle.name, tar.offset, 0)
                    tar.add(model_dir / name, f"models/{name}", filter=_anonymous)
                for wheel in sorted(wheels.glob("*.whl")):
                    progress.bytes(bundle.name, tar.offset, 0)
                    tar.add(wheel, f"wheels/{wheel.name}", filter=_anonymous)
            packed.replace(bundle)
    except SourceError as error:
        raise FetchError(f"no bundle: {error}") from error
    except OSError as error:
        raise FetchError(f"cannot write {bundle}: {error}") from error
    progress.info(f"{bundle}: {bundle.stat().st_size / 1e6:.0f} MB")


def _collect(requirements: Path, wheels: Path, progress: Progress) -> None:
    # `pip wheel`, not `download`: a package without a wheel is built here, so that the other machine builds nothing.
    command = [
        *(sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"),
        *(
            "wheel",
            "--wheel-dir",
            str(wheels),
            "--find-links",
            str(wheels),
            "--requirement",
            str(requirements.absolute()),
        ),
        *pip_options(requirements),
    ]
    run(command, wheels, what=f"wheels of {requirements.name}", progress=progress, quiet_s=_BUILD_QUIET_S)


def _readme(bundle: Path, ids: Sequence[str]) -> str:
    return _README.format(
        ids=", ".join(ids), bundle=bundle.name, python=platform.python_version(), platform=sysconfig.get_platform()
    )


def _add_text(tar: tarfile.TarFile, name: str, text: str) -> None:
    content = text.encode()
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def _anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mode = 0o644
    return info
