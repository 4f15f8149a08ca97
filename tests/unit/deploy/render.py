"""`python -m tests.unit.deploy.render < JSON`: render the chart with Helm's own engine.

The engine is a Go library, and has a process of its own. Reads a list of values, and prints a list of objects for each;
an error's text stands in the place of its list.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import helm_python
import yaml

from tests.unit.deploy.chart import CHART


def main() -> None:
    """Render the chart for each of the values."""
    chart = helm_python.Chart.load(CHART)
    problems = [message for message in helm_python.lint(CHART)["messages"] if message["severity"] > 1]
    assert not problems, problems
    json.dump([_render(chart, values) for values in json.load(sys.stdin)], sys.stdout)


def _render(chart: Any, values: dict[str, Any]) -> list[dict[str, Any]] | str:
    try:
        chart.validate_schema(values)
        files = chart.render(values, name="speech", namespace="voice")
    except helm_python.HelmError as error:
        return str(error)
    manifests = [text for name, text in files.items() if not name.endswith("NOTES.txt")]
    return [manifest for text in manifests for manifest in yaml.safe_load_all(text) if manifest]


if __name__ == "__main__":
    main()
