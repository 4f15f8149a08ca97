"""Bookkeeping of the GPU benchmark: the results of failing runs, and the playback client."""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.gpu.__main__ import GpuRun, tasks
from benchmarks.gpu.playback import Playback, open_loop
from benchmarks.gpu.results import Results
from benchmarks.gpu.steps import BenchOptions, options_from
from benchmarks.gpu.whisper import cublas_path
from benchmarks.report import machine
from tritone.contract import SPEECH_RATE

WORKER = """
import json, os, signal, sys
_, told, descriptor, tasks, until = sys.argv
def say(**line): os.write(int(descriptor), json.dumps(line).encode() + b"\\n")
for part, size, seconds in json.loads(tasks):
    key = {"part": part, "size": size}
    say(begun="one", within=60 if part != "hangs" else 0.01, **key)
    if part == "dies": os.abort()
    if part == "hangs": signal.pause()
    say(step="one", figures={"right": part != "wrong"}, seconds=1, **key)
    say(done=True, **key)
"""
"""Stands in for the process with the GPU; the name of a part chooses its behaviour."""


@pytest.fixture
def options(tmp_path: Path) -> BenchOptions:
    return BenchOptions(
        device="cuda:0",
        dtype="bfloat16",
        shapes="full",
        quick=False,
        folder=tmp_path,
        out=tmp_path / "out" / "gpu.json",
        site=None,
        faster_site=None,
    )


def run(
    options: BenchOptions, parts: list[str], *, seconds: float = 60, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """Run these parts, and return the results."""
    monkeypatch.setattr("benchmarks.gpu.__main__.SECONDS", dict.fromkeys(parts, 10))
    monkeypatch.setattr("benchmarks.gpu.__main__._STOPPING", 0.1)
    results = Results(options.out, {})
    worker = (sys.executable, "-c", WORKER)
    GpuRun(options, results, time.time() + seconds, worker).all([(part, "1.7B") for part in parts])
    written: dict[str, Any] = json.loads(options.out.read_text())
    return written


def test_worker_that_dies_or_hangs_is_replaced_for_the_remaining_parts(
    options: BenchOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = run(options, ["first", "dies", "second", "hangs", "third"], monkeypatch=monkeypatch)
    assert [*written["sizes"]["1.7B"]] == ["first", "second", "third"]
    assert [(error["part"], error["step"]) for error in written["errors"]] == [("dies", "one"), ("hangs", "one")]
    assert written["valid"]


def test_wrong_result_makes_the_run_invalid(options: BenchOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(options, ["first"], monkeypatch=monkeypatch)["valid"]
    assert not run(options, ["wrong", "second"], monkeypatch=monkeypatch)["valid"]


@pytest.mark.parametrize(("figures", "valid"), [(None, None), ({"right": True}, True), ({"right": False}, False)])
def test_run_is_valid_only_if_its_results_were_checked(
    options: BenchOptions, figures: dict[str, bool] | None, valid: bool | None
) -> None:
    results = Results(options.out, {})
    results.add("frames", "1.7B", "1", {"frame_ms": 2.5})
    if figures:
        results.add("correctness", "1.7B", "tokens", figures)
    results.finish(1.0)
    assert json.loads(options.out.read_text())["valid"] is valid


def test_frame_time_is_compared_with_the_time_of_reading_its_bytes(options: BenchOptions) -> None:
    results = Results(options.out, {})
    results.add("conditions", "1.7B", "copy_bytes_per_second", 4e12)
    results.add("frames", "1.7B", "1", {"frame_ms": 2.5, "bytes": 5_000_000_000})
    results.finish(1.0)
    frame = json.loads(options.out.read_text())["sizes"]["1.7B"]["frames"]["1"]
    assert (frame["floor_ms"], frame["times_floor"]) == (1.25, 2.0)


def test_predictor_is_compared_with_the_rate_of_a_copy(options: BenchOptions) -> None:
    results = Results(options.out, {})
    results.add("conditions", "1.7B", "copy_bytes_per_second", 4e12)
    results.add("frames", "1.7B", "1, shares", {"predictor_ms": 1.25, "predictor_bytes": 2_500_000_000})
    results.finish(1.0)
    shares = json.loads(options.out.read_text())["sizes"]["1.7B"]["frames"]["1, shares"]
    assert shares["predictor_of_copy_rate"] == 0.5


def test_parts_without_time_are_listed_as_left_out(options: BenchOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    written = run(options, ["first", "second"], seconds=0, monkeypatch=monkeypatch)
    assert written["left_out"] == ["1.7B first", "1.7B second"]


def test_each_size_is_measured_to_the_end_before_the_next() -> None:
    asked = tasks(["1.7B", "0.6B"], ["sharing", "frames", "arrivals"])
    assert asked == [
        ("frames", "1.7B"),
        ("arrivals", "1.7B"),
        ("sharing", "1.7B"),
        ("frames", "0.6B"),
        ("arrivals", "0.6B"),
    ]


def test_options_survive_the_way_to_another_process(options: BenchOptions) -> None:
    assert options_from(options.text) == options


@pytest.mark.parametrize(
    ("chunks", "silence"),
    [
        ([(1.0, 0.5), (1.4, 0.5), (1.9, 0.5)], 0.0),
        ([(1.0, 0.5), (1.75, 0.5), (2.0, 0.5)], 0.25),
        ([(1.0, 0.5), (1.75, 0.5), (2.5, 0.5)], 0.5),
    ],
)
def test_playback_is_silent_when_audio_arrives_later_than_it_is_played(
    chunks: list[tuple[float, float]], silence: float
) -> None:
    playback = Playback(0.25)
    for at, seconds in chunks:
        playback.add(at, np.zeros(round(seconds * SPEECH_RATE), np.float32))
    assert playback.silence == pytest.approx(silence)
    assert playback.seconds == 1.5
    assert playback.to_first_audio == 0.75


@pytest.mark.parametrize(("level", "later"), [(0.1, 0.0), (0.004, math.inf)])
def test_first_audible_sample_is_counted_from_the_playback_of_its_block(level: float, later: float) -> None:
    playback = Playback(0.0)
    playback.add(1.0, np.zeros(round(0.1 * SPEECH_RATE), np.float32))
    playback.add(1.05, np.zeros(round(0.1 * SPEECH_RATE), np.float32))  # it is played after the first chunk
    loud = np.zeros(round(0.1 * SPEECH_RATE), np.float32)
    loud[round(0.03 * SPEECH_RATE) :] = level
    playback.add(2.0, loud)
    assert playback.to_audible == pytest.approx(2.03 + later)


def test_open_loop_counts_from_the_planned_time_of_a_request() -> None:
    began = time.monotonic()
    planned, late = open_loop([0.0, 0.01], lambda index, at: at)
    assert planned[1] - planned[0] == pytest.approx(0.01)
    assert planned[0] >= began
    assert late >= 0


def test_figures_of_another_model_have_no_size(options: BenchOptions) -> None:
    results = Results(options.out, {})
    results.add("whisper", "1.7B", "float16", {"right": True})
    assert results.content["whisper"] == {"float16": {"right": True}}
    assert "sizes" not in results.content


@pytest.mark.parametrize(("versions", "found"), [((12, 13), 12), ((13,), 13), ((), None)])
def test_cublas_12_is_found_before_13_under_its_name(
    versions: tuple[int, ...], found: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    monkeypatch.setattr("benchmarks.gpu.whisper._SYSTEM", ())
    folders = {12: tmp_path / "nvidia/cublas/lib", 13: tmp_path / "nvidia/cu13/lib"}
    for version in versions:
        folders[version].mkdir(parents=True)
        for name in ("libcublas", "libcublasLt"):
            (folders[version] / f"{name}.so.{version}").touch()
    links = tmp_path / "links"
    links.mkdir()
    path, _ = cublas_path(links, [str(tmp_path)])
    names = [file.resolve() for folder in path for file in Path(folder).glob("libcublas.so.12")]
    assert names == ([] if found is None else [folders[found] / f"libcublas.so.{found}"])


def test_carried_version_of_an_installed_package_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    carried = tmp_path / "numpy-0.1.dist-info"
    carried.mkdir()
    (carried / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 0.1\n")
    assert machine()["packages"]["numpy"] == np.__version__
    monkeypatch.syspath_prepend(tmp_path)
    assert machine()["packages"]["numpy"] == "0.1"
