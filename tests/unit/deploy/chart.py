"""The Helm chart, rendered."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
CHART = ROOT / "deploy" / "helm" / "tritone"
EXAMPLES = sorted((CHART / "ci").glob("*.yaml"))
Manifest = dict[str, Any]


def render(*values: dict[str, Any]) -> list[list[Manifest] | str]:
    """Return the objects of the chart for each of the values, or the text of the error."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.unit.deploy.render"],
        input=json.dumps(values),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    rendered: list[list[Manifest] | str] = json.loads(run.stdout)
    return rendered


def values_of(example: Path) -> dict[str, Any]:
    """Return the values of an example."""
    values: dict[str, Any] = yaml.safe_load(example.read_text()) or {}
    return values


def pods(manifests: list[Manifest]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name and the pod specification of each object that has one."""
    for manifest in manifests:
        name = f"{manifest['kind']} {manifest['metadata']['name']}"
        if manifest["kind"] == "Pod":
            yield name, manifest["spec"]
        elif "template" in manifest.get("spec", {}):
            yield name, manifest["spec"]["template"]["spec"]


def named(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    """Return the object of this kind and name."""
    return next(found for found in manifests if (found["kind"], found["metadata"]["name"]) == (kind, name))
