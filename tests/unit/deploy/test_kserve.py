"""The examples for KServe: valid containers, restricted like the chart's, with settings that exist."""

from __future__ import annotations

import re
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.unit.deploy.chart import ROOT
from tests.unit.deploy.test_chart import OWN

FOLDER = ROOT / "deploy" / "kserve"
RUNTIMES: list[dict[str, Any]] = list(yaml.safe_load_all((FOLDER / "runtime.yaml").read_text()))
SERVICES: list[dict[str, Any]] = list(yaml.safe_load_all((FOLDER / "speech.yaml").read_text()))
SETTINGS = set(re.findall(r"^#(\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))


@pytest.mark.parametrize("version", ["1.29", "1.34"])
@pytest.mark.parametrize("runtime", RUNTIMES, ids=lambda runtime: str(runtime["metadata"]["name"]))
def test_a_runtime_is_a_valid_pod(runtime: dict[str, Any], version: str) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": runtime["metadata"]["name"]},
        "spec": {part: runtime["spec"][part] for part in ("containers", "volumes")},
    }
    kubernetes_validate.validate(pod, version, strict=True)


@pytest.mark.parametrize("runtime", RUNTIMES, ids=lambda runtime: str(runtime["metadata"]["name"]))
def test_a_runtime_is_restricted(runtime: dict[str, Any]) -> None:
    (container,) = runtime["spec"]["containers"]
    security = container["securityContext"]
    assert security["runAsNonRoot"]
    assert security["readOnlyRootFilesystem"]
    assert not security["allowPrivilegeEscalation"]
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= container.keys()
    assert len(container["ports"]) == 1, "KServe routes to one port"


def test_each_service_finds_its_runtime() -> None:
    runtimes = {runtime["metadata"]["name"]: runtime["spec"] for runtime in RUNTIMES}
    assert len(SERVICES) == len(runtimes)
    for service in SERVICES:
        model = service["spec"]["predictor"]["model"]
        runtime = runtimes[model["runtime"]]
        assert model["modelFormat"]["name"] in {known["name"] for known in runtime["supportedModelFormats"]}
        assert model["protocolVersion"] in runtime["protocolVersions"]


def test_variables_are_settings() -> None:
    containers = [runtime["spec"]["containers"][0] for runtime in RUNTIMES]
    models = [service["spec"]["predictor"]["model"] for service in SERVICES]
    names = {variable["name"] for part in (*containers, *models) for variable in part["env"]}
    assert names <= SETTINGS | OWN


def test_a_pod_has_time_to_finish_its_requests() -> None:
    for service in SERVICES:
        predictor = service["spec"]["predictor"]
        settings = {variable["name"]: variable.get("value") for variable in predictor["model"]["env"]}
        assert predictor["timeout"] >= float(settings.get("REQUEST_TIMEOUT") or 0)
        assert predictor["terminationGracePeriodSeconds"] > 10 + 2 * float(settings["DRAIN_TIMEOUT"])
