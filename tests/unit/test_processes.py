"""A run of the tests in several processes."""

from __future__ import annotations

import pytest


def test_tests_that_share_a_server_run_in_one_process(request: pytest.FixtureRequest) -> None:
    """pytest-xdist 3.8 writes a test's group into its id, which pytest 9.2 ignores: each process starts all servers."""
    if not request.config.getoption("loadgroup", False):
        pytest.skip("pytest runs in one process")
    assert request.node.nodeid.endswith("@unit/test_processes.py")
