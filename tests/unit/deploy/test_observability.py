"""Prometheus and Grafana beside the composition: what they read is there, and the alerts fire when they should."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from supervisor.environments import ROOT
from tests import prometheus
from tests.unit.test_containers import composition
from tests.unit.test_metrics import DASHBOARD, RULES

FILES = ("compose.yaml", "compose.observability.yaml")
FOLDER = ROOT / "deploy" / "observability"
SERVICES: dict[str, Any] = composition(*FILES)["services"]
PORTS = {"triton": "TRITON_METRICS_PORT", "gateway": "API_PORT", "worker": "JOBS_METRICS_PORT"}


def promtool(*arguments: str | Path) -> None:
    """Run promtool, which must succeed."""
    if prometheus.PROMTOOL is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(prometheus.HOW_TO_INSTALL)
    command: list[str | Path] = [prometheus.PROMTOOL, *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def config() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    return read


def provisioned(name: str) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((FOLDER / "grafana" / name).read_text())
    return read


def mounts(service: str) -> dict[str, str]:
    """Return the mounts of a service: path in the container -> its source."""
    pairs = (mount.split(":")[:2] for mount in SERVICES[service]["volumes"])
    return {path: source for source, path in pairs}


def test_prometheus_accepts_its_configuration_and_the_alerts(tmp_path: Path) -> None:
    shutil.copy(FOLDER / "prometheus.yml", tmp_path)
    shutil.copy(RULES, tmp_path)
    promtool("check", "config", tmp_path / "prometheus.yml")


def test_prometheus_reads_the_ports_that_the_services_open() -> None:
    targets = {
        target for job in config()["scrape_configs"] for each in job["static_configs"] for target in each["targets"]
    }
    opened = {f"{service}:{SERVICES[service]['environment'][name]}" for service, name in PORTS.items()}
    opened.add(f"queue_worker:{SERVICES['queue_worker']['environment']['SQS_METRICS_PORT']}")
    assert targets == opened


def test_every_file_that_is_mounted_is_there() -> None:
    for service in ("prometheus", "grafana"):
        for path, source in mounts(service).items():
            assert not source.startswith(".") or (ROOT / source).exists(), path
    assert mounts("prometheus")["/etc/prometheus/rules.yaml"] == f"./{RULES.relative_to(ROOT)}"


def test_grafana_has_the_dashboard_and_its_source() -> None:
    (provider,) = provisioned("dashboards/tritone.yaml")["providers"]
    folder = provider["options"]["path"]
    assert ROOT / mounts("grafana")[folder] == DASHBOARD.parent
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{folder}/{DASHBOARD.name}"
    (source,) = provisioned("datasources/prometheus.yaml")["datasources"]
    assert (source["type"], source["url"], source["isDefault"]) == ("prometheus", "http://prometheus:9090", True)
    variables = json.loads(DASHBOARD.read_text())["templating"]["list"]
    assert variables[0]["type"] == "datasource", "the dashboard finds it by its type"


@pytest.mark.parametrize("service", ["prometheus", "grafana"])
def test_a_service_has_no_privileges_and_is_published_on_loopback_alone(service: str) -> None:
    given = SERVICES[service]
    assert given["read_only"]
    assert given["cap_drop"] == ["ALL"]
    assert given["security_opt"] == ["no-new-privileges:true"]
    assert all(port.startswith("127.0.0.1:") for port in given["ports"])
    assert re.search(r":v?\d+\.\d+\.\d+$", given["image"]), "a pinned release"


SERIES = {
    "TritoneSpeechStalls": (
        {
            'tritone_playback_continuity_ratio_bucket{model="m", le="0.999"}': "0+2x60",
            'tritone_playback_continuity_ratio_count{model="m"}': "0+10x60",
        },
        {'tritone_playback_continuity_ratio_bucket{model="m", le="0.999"}': "0+0x60"},
    ),
    "TritoneQueueLong": (
        {'tritone_waiting_requests{model="m"}': "9x60", 'tritone_slots{model="m"}': "8x60"},
        {'tritone_waiting_requests{model="m"}': "7x60"},
    ),
    "TritoneJobsStand": (
        {'tritone_jobs{status="queued"}': "3x60", 'tritone_jobs{status="running"}': "0x60"},
        {'tritone_jobs{status="running"}': "1x60"},
    ),
    "TritoneGatewaysAway": ({"up": "1x60"}, {"tritone_http_requests_in_flight": "0x60"}),
    "TritoneCallersRefused": (
        {'tritone_http_refused_total{cause="work_full"}': "0+60x60"},
        {'tritone_http_refused_total{cause="work_full"}': "0+1x60"},
    ),
}
"""Alert -> the series that make it fire, and the changes of them that do not."""


@pytest.mark.parametrize("alert", SERIES)
def test_an_alert_fires_for_its_case_alone(alert: str, tmp_path: Path) -> None:
    firing, changes = SERIES[alert]
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    (rule,) = [{**rule, "annotations": {}} for rule in rules if rule["alert"] == alert]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "one", "rules": [rule]}]}))
    tests = []
    for series, fires in ((firing, True), ({**firing, **changes}, False)):
        labels = re.findall(r'(model|cause)="(\w+)"', " ".join(series))
        expected = {"exp_labels": {**rule["labels"], **dict(labels)}}
        tests.append(
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "alert_rule_test": [
                    {"eval_time": "50m", "alertname": alert, "exp_alerts": [expected] if fires else []}
                ],
            }
        )
    (tmp_path / "test.yaml").write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "tests": tests}))
    promtool("test", "rules", tmp_path / "test.yaml")
