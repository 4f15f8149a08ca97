"""Self-tests that are not repeated when a model is loaded again with the same files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import triton_python_backend_utils as pb_utils

from adapters.triton.instance import Instance


def self_test_once(instance: Instance, folder: Path, test: Callable[[], None]) -> None:
    """Run the self-test of a checkpoint, unless it has passed in this run of the server on the same files.

    On a CPU most of a load is the test. On a GPU it is always run: it is quick there, and the device may have failed.
    """
    if instance.run_folder is None or instance.device != "cpu":
        test()
        return
    passed = instance.run_folder / f"{instance.model}.tested"
    files = _fingerprint(folder)
    if passed.exists() and passed.read_text(encoding="utf-8") == files:
        pb_utils.Logger.log_info(f"{instance.model}: the self-test has passed in this run, and is not repeated")
        return
    test()
    passed.write_text(files, encoding="utf-8")


def _fingerprint(folder: Path) -> str:
    """Return the names, sizes and times of all files in a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    states = [(path, path.stat()) for path in files]
    return "\n".join(f"{path} {state.st_size} {state.st_mtime_ns}" for path, state in states)
