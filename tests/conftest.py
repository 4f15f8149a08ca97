"""Settings, markers and fixtures of all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# gRPC clients install fork handlers, which fail in a child process under load. Every child process of the tests runs
# another program at once, and needs no handlers.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

# The suite runs in several processes, and its networks are tiny: more threads wait for each other most of the time.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The time of an example depends on the machine, not on the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

TESTS = Path(__file__).parent
SHARED_SERVERS = ("server", "qwen", "omni")
"""The fixtures of tests/e2e that start a server for many files."""
MODEL_DIR = Path(os.environ.get("MODEL_DIR") or TESTS.parent / "models").resolve()


@pytest.fixture(scope="session")
def weights() -> Path:
    """The folder of the real weights. A test that uses it, even through another fixture, gets the marker `weights`."""
    if not any(MODEL_DIR.glob("*/*")):
        pytest.fail(f"there are no weights in {MODEL_DIR}: run scripts/test once, or set MODEL_DIR")
    return MODEL_DIR


@pytest.hookimpl(tryfirst=True)  # before pytest applies -m
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test `unit` or `e2e` by its folder, and `weights` by its fixtures.

    With pytest-xdist, the tests of a file run in one process, and so do all that share a server.
    """
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        if folder in ("unit", "e2e"):
            item.add_marker(folder)
        fixtures = getattr(item, "fixturenames", ())
        if "weights" in fixtures:
            item.add_marker("weights")
        shared = next((name for name in SHARED_SERVERS if folder == "e2e" and name in fixtures), None)
        item.add_marker(pytest.mark.xdist_group(shared or str(item.path.relative_to(TESTS))))
