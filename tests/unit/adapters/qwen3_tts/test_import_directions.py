"""Packages of the in-flight engine import in one direction only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from adapters.qwen3_tts import inflight

ROOT = Path(inflight.__file__).parent
ALLOWED = {
    "device": set(),
    "model": {"device"},
    "codec": {"device", "model"},
    "io": {"device", "model", "codec"},
    "scheduling": {"device", "model", "codec", "io"},
}


def imported(path: Path) -> set[str]:
    """Return the packages of the engine that a module imports."""
    tree = ast.parse(path.read_text())
    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    parts = [
        module.removeprefix(f"{inflight.__name__}.").split(".")[0] for module in modules if inflight.__name__ in module
    ]
    return set(parts)


@pytest.mark.parametrize("package", ALLOWED)
def test_package_imports_only_packages_below_it(package: str) -> None:
    modules = [*(ROOT / package).rglob("*.py")]
    assert len(modules) > 2
    for module in modules:
        assert imported(module) <= {package, *ALLOWED[package]}, module


@pytest.mark.parametrize("module", [*ROOT.rglob("*.py")], ids=lambda path: str(path.relative_to(ROOT)))
def test_inflight_engine_does_not_import_the_stock_engine(module: Path) -> None:
    assert "qwen3_tts.stock" not in module.read_text()
