"""Every metric that the code registers is on the page and the reverse; dashboards and alerts use only existing ones."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
import yaml
from prometheus_client import REGISTRY

from docs.generate import ROOT
from docs.metrics_page import TRITONS_OWN
from gateway.core.metrics import SPECS
from tritone.metrics import MODEL_METRICS, MetricSpec

FILES = ROOT / "deploy" / "helm" / "tritone" / "files"
DASHBOARD = FILES / "dashboards" / "tritone.json"
RULES = FILES / "rules.yaml"
ALL: dict[str, MetricSpec] = {**{spec.name: spec for spec in MODEL_METRICS}, **SPECS}
KEYS_OF_LABELS = {"model", "reason", "result", "route", "status", "cause", "kind", "queue", "state", "outcome"}
"""Each has few values: none names a text, a voice, an address or a key."""
OTHERS_OF_PROMETHEUS = {"namespace", "instance", "job", "pod", "pool", "le", "gpu_uuid", "alertname"}
_NAME = re.compile(r"\b(?:tritone|nv)_[a-z_]+")


def names_in(query: str) -> set[str]:
    """Return the metrics of a query, without the suffixes of histograms."""
    return {re.sub(r"_(bucket|count|sum)$", "", name) if _is_part(name) else name for name in _NAME.findall(query)}


def _is_part(name: str) -> bool:
    base = re.sub(r"_(bucket|count|sum)$", "", name)
    return base in ALL and ALL[base].kind == "histogram"


def queries() -> Iterator[tuple[str, str]]:
    """Yield the title and the query of each panel and each alert."""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


def test_the_page_has_every_metric_and_no_other() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()
    listed = set(re.findall(r"^\| `((?:tritone|nv)_\w+)` \|", page, re.MULTILINE))
    assert listed == {*ALL, *TRITONS_OWN}


def test_every_metric_of_the_gateway_is_registered_with_its_question() -> None:
    registered = {
        name for name in REGISTRY._names_to_collectors if name.startswith("tritone_") and not name.endswith("_created")
    }
    expected = {
        f"{spec.name}{suffix}"
        for spec in SPECS.values()
        for suffix in (("_bucket", "_count", "_sum", "") if spec.kind == "histogram" else ("",))
    }
    counters = {spec.name.removesuffix("_total") for spec in SPECS.values() if spec.kind == "counter"}
    assert registered - counters == expected
    assert all(spec.question.endswith(("?", ".")) for spec in ALL.values())


def test_labels_have_few_values() -> None:
    assert {label for spec in ALL.values() for label in spec.labels} <= KEYS_OF_LABELS


def test_names_end_in_their_unit() -> None:
    for spec in ALL.values():
        assert (spec.kind == "counter") == spec.name.endswith("_total"), spec.name


@pytest.mark.parametrize(("title", "query"), list(queries()))
def test_a_query_uses_existing_metrics_and_labels(title: str, query: str) -> None:
    names = names_in(query)
    assert names
    assert names <= {*ALL, *TRITONS_OWN}, title
    used = set(re.findall(r"(\w+)(?:!?=~?)\"", query))
    for grouped in re.findall(r"(?:by|on|ignoring|group_left) \(([^)]*)\)", query):
        used |= {label.strip() for label in grouped.split(",") if label.strip()}
    known = {label for name in names for label in (ALL[name].labels if name in ALL else ("model", "reason"))}
    assert used <= known | OTHERS_OF_PROMETHEUS, title


def test_every_alert_says_what_to_do() -> None:
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in ("critical", "warning"), rule["alert"]
            assert rule["annotations"]["summary"].endswith("."), rule["alert"]
            assert rule["annotations"]["description"].endswith("."), rule["alert"]
