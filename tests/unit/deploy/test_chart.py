"""The Helm chart: valid for Kubernetes with each example's values, and safe by construction."""

from __future__ import annotations

import re
from typing import Any

import kubernetes_validate
import pytest

from tests.unit.deploy.chart import CHART, EXAMPLES, ROOT, Manifest, named, pods, render, values_of

OPERATORS = ("keda.sh", "monitoring.coreos.com", "gateway.networking.k8s.io")
"""The groups of objects that Kubernetes' own schemas do not have."""
OWN = {"TRITONSERVER_HOME", "TRITON_CACHE_DIR", "TRITONE_CACHE", "HF_HUB_OFFLINE", "HF_TOKEN", "HF_ENDPOINT"}
"""Environment variables that are not settings of Tritone, or have no line in .env.example."""

BAD: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown value": ({"pols": {}}, "additional properties 'pols' not allowed"),
    "an unknown value of a pool": ({"pools": {"main": {"gpus": 1}}}, "'gpus' not allowed"),
    "no pool": ({"pools": {"main": None}}, "pools: name at least one pool"),
    "a pool without models": ({"pools": {"main": {"speech": [], "transcription": []}}}, "pools.main has no models"),
    "no quantity": ({"weights": {"size": "big"}}, "at '/weights/size'"),
    "several gateways with jobs on SQLite": ({"jobs": {"enabled": True}}, "jobs.databaseSecret"),
    "an hpa that scales to zero": (
        {"pools": {"main": {"autoscaling": {"mode": "hpa", "minReplicas": 0}}}},
        "only mode keda can scale to 0",
    ),
    "a pool that nothing wakes": (
        {"pools": {"main": {"autoscaling": {"mode": "keda", "minReplicas": 0}}}},
        "needs a query that wakes it",
    ),
    "an ingress without a host": ({"ingress": {"enabled": True}}, "ingress.host"),
    "a route without a gateway": ({"httpRoute": {"enabled": True}}, "httpRoute.parentRefs"),
    "a bundle without its claim": ({"weights": {"source": "bundle"}}, "weights.bundle.claim"),
}


@pytest.fixture(scope="module")
def rendered() -> dict[str, list[Manifest]]:
    """Return the objects of each example."""
    results = render(*(values_of(example) for example in EXAMPLES))
    objects = {}
    for example, result in zip(EXAMPLES, results, strict=True):
        assert not isinstance(result, str), f"{example.name}: {result}"
        objects[example.stem] = result
    return objects


@pytest.mark.parametrize("version", ["1.29", "1.34"])
def test_objects_follow_the_schemas_of_kubernetes(rendered: dict[str, list[Manifest]], version: str) -> None:
    for manifests in rendered.values():
        for manifest in manifests:
            if not manifest["apiVersion"].startswith(OPERATORS):
                kubernetes_validate.validate(manifest, version, strict=True)


def test_the_defaults_need_no_operator(rendered: dict[str, list[Manifest]]) -> None:
    assert not [m for m in rendered["one-gpu"] if m["apiVersion"].startswith(OPERATORS)]


def test_bad_values_are_rejected_by_name() -> None:
    for (case, (_, message)), result in zip(BAD.items(), render(*(values for values, _ in BAD.values())), strict=True):
        assert isinstance(result, str), f"{case} was accepted"
        assert message in result, case


def test_pods_have_no_privileges(rendered: dict[str, list[Manifest]]) -> None:
    for manifests in rendered.values():
        for name, spec in pods(manifests):
            assert spec["automountServiceAccountToken"] is False, name
            assert spec["securityContext"]["runAsNonRoot"] is True, name
            assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
            for container in [*spec.get("initContainers", []), *spec["containers"]]:
                assert container["securityContext"] == {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                }, name
                assert container["resources"]["limits"]["memory"], name
                assert container["resources"]["requests"]["cpu"], name


def test_openshift_may_choose_the_user(rendered: dict[str, list[Manifest]]) -> None:
    for _, spec in pods(rendered["offline"]):
        assert not {"runAsUser", "runAsGroup", "fsGroup"} & spec["securityContext"].keys()


def test_a_triton_pod_is_ready_with_its_models_and_stops_after_its_requests(
    rendered: dict[str, list[Manifest]],
) -> None:
    spec = named(rendered["one-gpu"], "Deployment", "speech-tritone-main")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    ready = ["/opt/tritone/envs/supervisor/bin/python", "-m", "supervisor.ready"]
    assert container["startupProbe"]["exec"]["command"] == container["readinessProbe"]["exec"]["command"] == ready
    assert container["livenessProbe"]["grpc"] == {"port": 8001}
    environment = {variable["name"]: variable.get("value") for variable in container["env"]}
    wait = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert spec["terminationGracePeriodSeconds"] > wait + int(environment["DRAIN_TIMEOUT"] or 0)
    # Nothing kills a pod that is still allowed to start, or whose supervisor is allowed to restart Triton.
    for probe in (container["startupProbe"], container["livenessProbe"]):
        assert probe["failureThreshold"] * probe["periodSeconds"] >= int(environment["START_TIMEOUT"] or 0)
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert {"name": "models", "mountPath": "/models", "readOnly": True} in container["volumeMounts"]


def test_a_gateway_pod_leaves_the_service_before_it_stops(rendered: dict[str, list[Manifest]]) -> None:
    spec = named(rendered["one-gpu"], "Deployment", "speech-tritone-gateway")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    environment = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert {container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "readiness", "liveness")} == {
        "/health"
    }
    wait = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert spec["terminationGracePeriodSeconds"] > wait + int(environment["DRAIN_TIMEOUT"] or 0)
    assert environment["TRITON_GRPC_URL"] == "dns:///speech-tritone-main:8001"


def test_gateways_know_every_pool(rendered: dict[str, list[Manifest]]) -> None:
    spec = named(rendered["pools"], "Deployment", "speech-tritone-gateway")["spec"]["template"]["spec"]
    (urls,) = [variable["value"] for variable in spec["containers"][0]["env"] if variable["name"] == "TRITON_GRPC_URL"]
    services = [
        m["metadata"]["name"] for m in rendered["pools"] if m["kind"] == "Service" and m["spec"].get("clusterIP")
    ]
    assert urls.split(",") == [f"dns:///{name}:8001" for name in sorted(services)]
    assert len(services) == 3


def test_workers_run_where_the_gateways_run() -> None:
    gateway = {"priorityClassName": "high", "nodeSelector": {"pool": "web"}, "tolerations": [{"key": "web"}]}
    values = values_of(next(example for example in EXAMPLES if example.stem == "pools"))
    (manifests,) = render(
        {**values, "gateway": gateway, "jobs": {"enabled": True, "databaseSecret": "db"}, "queues": {"enabled": True}}
    )
    assert not isinstance(manifests, str), manifests
    for component in ("gateway", "worker", "queue-worker"):
        spec = named(manifests, "Deployment", f"speech-tritone-{component}")["spec"]["template"]["spec"]
        assert {name: spec[name] for name in gateway} == gateway


def test_only_gateways_reach_grpc_and_only_prometheus_the_metrics(rendered: dict[str, list[Manifest]]) -> None:
    policy = named(rendered["one-gpu"], "NetworkPolicy", "speech-tritone-triton")["spec"]
    callers, prometheus = policy["ingress"]
    assert [port["port"] for port in callers["ports"]] == ["grpc"]
    (peer,) = callers["from"]
    assert peer["podSelector"]["matchExpressions"] == [
        {"key": "app.kubernetes.io/component", "operator": "In", "values": ["gateway", "worker", "queue-worker"]}
    ]
    assert [port["port"] for port in prometheus["ports"]] == ["metrics"]
    assert list(prometheus["from"][0]) == ["namespaceSelector"]


@pytest.mark.parametrize(("worker", "setting"), [("worker", "JOBS_METRICS_PORT"), ("queue-worker", "SQS_METRICS_PORT")])
def test_prometheus_finds_and_reaches_the_metrics_of_a_worker(
    rendered: dict[str, list[Manifest]], worker: str, setting: str
) -> None:
    pod = named(rendered["pools"], "Deployment", f"speech-tritone-{worker}")["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    (port,) = container["ports"]
    assert [each["value"] for each in container["env"] if each["name"] == setting] == [str(port["containerPort"])]
    monitor = named(rendered["pools"], "PodMonitor", "speech-tritone-workers")["spec"]
    policy = named(rendered["pools"], "NetworkPolicy", "speech-tritone-workers")["spec"]
    assert [each["port"] for each in monitor["podMetricsEndpoints"]] == [port["name"]]
    (ingress,) = policy["ingress"]
    assert [each["port"] for each in ingress["ports"]] == [port["name"]]
    assert list(ingress["from"][0]) == ["namespaceSelector"]
    for selector in (monitor["selector"], policy["podSelector"]):
        assert selector["matchLabels"].items() <= pod["metadata"]["labels"].items()
        (expression,) = selector["matchExpressions"]
        assert pod["metadata"]["labels"][expression["key"]] in expression["values"]


def test_a_worker_without_monitoring_opens_no_port() -> None:
    (objects,) = render({"jobs": {"enabled": True, "databaseSecret": "database"}})
    assert not isinstance(objects, str)
    (container,) = named(objects, "Deployment", "speech-tritone-worker")["spec"]["template"]["spec"]["containers"]
    assert "ports" not in container
    assert not [manifest for manifest in objects if manifest["metadata"]["name"] == "speech-tritone-workers"]


def test_weights_on_one_node_keep_the_gateways_there(rendered: dict[str, list[Manifest]]) -> None:
    one, shared = (
        named(rendered[example], "Deployment", "speech-tritone-gateway")["spec"]["template"]["spec"]["affinity"]
        for example in ("one-gpu", "pools")
    )
    (term,) = one["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["labelSelector"]["matchLabels"]["app.kubernetes.io/component"] == "triton"
    assert shared == {}


def test_the_weights_of_every_pool_are_fetched(rendered: dict[str, list[Manifest]]) -> None:
    (job,) = [manifest for manifest in rendered["pools"] if manifest["kind"] == "Job"]
    command = job["spec"]["template"]["spec"]["containers"][0]["command"]
    assert {"qwen3-tts-1.7b-design", "whisper-large-v3-turbo", "silero-vad", "speaker-embedding"} < set(command)
    changed = render({"pools": {"main": {"speech": ["kokoro-82m"]}}})[0]
    (other,) = [manifest for manifest in changed if isinstance(manifest, dict) and manifest["kind"] == "Job"]
    assert other["metadata"]["name"] != job["metadata"]["name"]


def test_workers_run_their_own_modules_of_the_gateways_image(rendered: dict[str, list[Manifest]]) -> None:
    for name, module in (("worker", "gateway.jobs"), ("queue-worker", "gateway.queue_worker")):
        spec = named(rendered["pools"], "Deployment", f"speech-tritone-{name}")["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        assert container["command"] == ["python", "-m", module]
        assert {"secretRef": {"name": "aws"}} in container["envFrom"]
        assert (ROOT / f"{module.replace('.', '/')}.py").exists()


def test_environment_variables_are_settings(rendered: dict[str, list[Manifest]]) -> None:
    known = set(re.findall(r"^#(\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)) | OWN
    for example, manifests in rendered.items():
        for name, spec in pods(manifests):
            if name.endswith("speak-and-hear"):
                continue
            for container in [*spec.get("initContainers", []), *spec["containers"]]:
                unknown = {variable["name"] for variable in container.get("env", [])} - known
                assert not unknown, f"{example}: {name}"


def test_queries_of_the_autoscalers_name_metrics_that_exist() -> None:
    """Check the template alone: tests/unit/test_metrics.py has the dashboards and the alerts."""
    rooms = ("adapters", "gateway", "supervisor", "tritone")
    sources = [path.read_text() for room in rooms for path in (ROOT / room).rglob("*.py")]
    metrics = set(re.findall(r"\btritone_[a-z_]+(?=[{\[),\s])", (CHART / "templates" / "pools.yaml").read_text()))
    assert metrics
    for metric in metrics:
        name = re.sub(r"_bucket$", "", metric)
        assert any(f'"{name}"' in source for source in sources), metric


@pytest.mark.parametrize("on_node", [False, True])
def test_gateways_with_webrtc_have_udp_ports(on_node: bool) -> None:
    webrtc: dict[str, Any] = {
        "enabled": True,
        "hostNetwork": on_node,
        "ports": {"first": 40000, "last": 40099},
        "iceServers": ["stun:stun.example.com:3478", "turn:turn.example.com:3478"],
    }
    (manifests,) = render({"gateway": {"webrtc": webrtc}})
    assert not isinstance(manifests, str), manifests
    for manifest in manifests:
        kubernetes_validate.validate(manifest, "1.34", strict=True)
    deployment = named(manifests, "Deployment", "speech-tritone-gateway")
    pod = deployment["spec"]["template"]["spec"]
    env = {each["name"]: each.get("value") for each in pod["containers"][0]["env"]}
    assert (env["WEBRTC"], env["WEBRTC_ICE_SERVERS"]) == ("true", ",".join(webrtc["iceServers"]))
    sysctls = {each["name"]: each["value"] for each in pod["securityContext"].get("sysctls", ())}
    assert pod.get("hostNetwork", False) == on_node
    assert sysctls == ({} if on_node else {"net.ipv4.ip_local_port_range": "40000 40099"})
    policy = named(manifests, "NetworkPolicy", "speech-tritone-gateway")
    assert policy["spec"]["ingress"][-1] == {"ports": [{"port": 40000, "endPort": 40099, "protocol": "UDP"}]}
