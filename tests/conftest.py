"""Settings, markers and fixtures of all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# gRPC clients install fork handlers, which fail in a child process under load. Every child process of the tests runs
# another program at once, and needs no handlers.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

# The time of an example depends on the machine, not on the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

TESTS = Path(__file__).parent
MODEL_DIR = Path(os.environ.get("MODEL_DIR") or TESTS.parent / "models").resolve()


@pytest.fixture(scope="session")
def weights() -> Path:
    """The folder of the real weights. A test that uses it, even through another fixture, gets the marker `weights`."""
    if not any(MODEL_DIR.glob("*/*")):
        pytest.fail(f"there are no weights in {MODEL_DIR}: run scripts/test once, or set MODEL_DIR")
    return MODEL_DIR


@pytest.hookimpl(tryfirst=True)  # before pytest applies -m
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test `unit` or `e2e` by its folder, and `weights` by its fixtures."""
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        if folder in ("unit", "e2e"):
            item.add_marker(folder)
        if "weights" in getattr(item, "fixturenames", ()):
            item.add_marker("weights")
