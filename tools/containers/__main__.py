"""`scripts/containers`: build both images, run the composition, check it, restart its parts, and run a pair of each."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tools.containers.checks import check_addresses, check_hardening, check_health, restart
from tools.containers.client import check_speech, wait_ready
from tools.containers.console import Failure, info, warn
from tools.containers.engine import ROOT, Engine, find_engine
from tools.containers.pair import rolling_restart
from tools.containers.sagemaker import rehearse_sagemaker
from tools.containers.stand_ins import base_image, make_stand_ins, package_folders

_WEIGHTS = ("kokoro-82m", "whisper-base", "silero-vad", "speaker-embedding")
_VOLUME = "tritone_models"
_URL = "http://127.0.0.1:8899"
_START_SECONDS = 1800


def main(arguments: Sequence[str]) -> int:
    """Run the rehearsal, print and record its results, and return the exit status."""
    options = _parse(arguments)
    work = (options.work or Path(tempfile.mkdtemp(prefix="tritone-containers-"))).resolve()
    work.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {"machine": platform.platform(), "load": os.getloadavg()[0]}
    try:
        engine = find_engine(work, options.engine)
        results["engine"] = engine.run("--version").strip()
        results["base_images"] = "stand-ins from Debian's packages" if options.stand_ins else "published"
        names = ("gateway", "triton", *(["sagemaker"] if options.sagemaker else []))
        images = {name: f"tritone/{name}:{_version()}" for name in names}
        if options.stand_ins and not options.no_build:
            make_stand_ins(engine, work)
        for name, tag in images.items():
            if not options.no_build:
                folders = package_folders() if options.stand_ins else []
                engine.build(f"Dockerfile.{name}", tag, folders, work / f"build-{name}.log")
            results[f"{name}_image_mb"] = _sizes(engine, name, tag)
        with _composition(engine, options.gpu, work):
            _check(engine, results)
        if not options.no_pair:
            results["rolling_restart"] = rolling_restart(engine, _VOLUME, images)
        if options.sagemaker:
            results["sagemaker"] = rehearse_sagemaker(engine, _VOLUME, images["sagemaker"])
    except Failure as failure:
        warn(str(failure))
        return 1
    finally:
        if options.json:
            options.json.write_text(json.dumps(results, indent=2) + "\n")
    info("all checks passed")
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/containers", description=__doc__)
    parser.add_argument("--engine", choices=("docker", "podman"), default="", help="instead of the first that is found")
    parser.add_argument(
        "--stand-ins",
        action="store_true",
        help="make the base images from Debian's packages, where no container registry is reached (needs root)",
    )
    parser.add_argument("--no-build", action="store_true", help="run the images that the engine has")
    parser.add_argument("--gpu", action="store_true", help="give the GPUs to Triton, as compose.yaml says")
    parser.add_argument("--no-pair", action="store_true", help="leave out the two Tritons and two gateways")
    parser.add_argument(
        "--sagemaker", action="store_true", help="also build the image with both parts, and run it as SageMaker does"
    )
    parser.add_argument("--work", type=Path, metavar="FOLDER", help="folder of the logs, kept for the next time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="file to record the results in")
    return parser.parse_args(arguments)


def _sizes(engine: Engine, name: str, tag: str) -> dict[str, int]:
    whole, base = (_megabytes(engine, image) for image in (tag, base_image(f"Dockerfile.{name}")))
    info(f"{tag}: {whole} MB, of which {base} are the base image")
    return {"whole": whole, "base": base}


def _check(engine: Engine, results: dict[str, Any]) -> None:
    results["ready_seconds"] = wait_ready(_URL, _START_SECONDS)
    info(f"ready {results['ready_seconds']} s after `up`; heard {check_speech(_URL)!r}")
    containers = {name: engine.containers(name)[0] for name in ("triton", "gateway")}
    for name, container in containers.items():
        check_health(engine, container)
        results[name] = check_hardening(engine, container) | {"published": check_addresses(engine, container)}
        info(f"{container}: healthy, {results[name]}")
    triton = containers["triton"]
    results["restart"] = {
        "stopped": restart(engine, triton, _URL, kill=False),
        "killed": restart(engine, triton, _URL, kill=True),
    }


@contextmanager
def _composition(engine: Engine, gpu: bool, work: Path) -> Iterator[None]:
    files = [ROOT / "compose.yaml", *([] if gpu else [ROOT / "compose.cpu.yaml"])]
    (ROOT / "ref_audio").mkdir(exist_ok=True)
    _fill_volume(engine)
    try:
        engine.compose(files, "up", "--detach", "--no-build", log=work / "up.log")
        yield
    except Failure:
        for name in ("triton", "gateway"):
            with suppress(Failure, IndexError):
                info(
                    f"the end of the log of {name}:\n" + engine.run("logs", "--tail", "20", engine.containers(name)[0])
                )
        raise
    finally:
        engine.compose(files, "down", log=work / "down.log")


def _fill_volume(engine: Engine) -> None:
    """Copy the weights that the clone has into the volume, so that nothing is fetched twice."""
    with suppress(Failure):
        engine.run("volume", "create", _VOLUME)
    folder = Path(engine.inspect_volume(_VOLUME)["Mountpoint"])
    models = ROOT / os.environ.get("MODEL_DIR", "models")
    if os.geteuid() or not folder.is_dir():
        return
    for name in _WEIGHTS:
        if (models / name).is_dir() and not (folder / name).exists():
            shutil.copytree(models / name, folder / name)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, 1000, 1000, follow_symlinks=False)


def _megabytes(engine: Engine, image: str) -> int:
    return int(engine.inspect(image)["Size"]) // 10**6


def _version() -> str:
    line = next(line for line in (ROOT / "compose.yaml").read_text().splitlines() if "image: tritone/triton:" in line)
    return line.rpartition(":")[2]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
