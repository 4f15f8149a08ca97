"""The dashboard's queries against a real Prometheus that scrapes a real server under load."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator

import httpx
import pytest

from tests import prometheus
from tests.e2e.server import ROOT, Server

DASHBOARD = ROOT / "deploy" / "helm" / "tritone" / "files" / "dashboards" / "tritone.json"
WITHOUT_DATA = {
    "tritone_queue_depth": "there is no queue of SQS",
    "tritone_queue_age_seconds": "there is no queue of SQS",
    "tritone_queue_messages_total": "there is no queue of SQS",
    "tritone_jobs_ended_total": "the worker of this server opens no port for its metrics",
    "nv_gpu_utilization": "there is no GPU",
    "nv_gpu_memory_used_bytes": "there is no GPU",
}
"""Metrics whose queries have no data on this server -> the reason."""
_WINDOW = "5m"
_DEADLINE = 600
TEXT = "Yes. It is so, and it is good, because the sun is shining. We go out, then."


def queries() -> dict[str, str]:
    """Return each query that must have data -> the title of its panel."""
    found = {}
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", []):
            if not any(name in target["expr"] for name in WITHOUT_DATA):
                query = target["expr"].replace("$__rate_interval", _WINDOW).replace("$model", ".*")
                found[query] = f"{panel['title']}: {query}"
    return found


@pytest.fixture
def scraping(server: Server) -> Iterator[prometheus.Prometheus]:
    if prometheus.PROGRAM is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(prometheus.HOW_TO_INSTALL)
    targets = {"gateway": server.url.removeprefix("http://"), "triton": f"127.0.0.1:{server.triton_metrics_port}"}
    with prometheus.Prometheus(targets) as running:
        yield running


def ask(client: httpx.Client) -> None:
    """Send a request of each kind: speech, its transcript, a wrong one, one that its client leaves, and a job."""
    speech = {"model": "kokoro-82m", "input": TEXT, "response_format": "wav"}
    recording = client.post("/v1/audio/speech", json=speech).raise_for_status().content
    files, model = {"file": ("a.wav", recording)}, {"model": "whisper-base"}
    client.post("/v1/audio/transcriptions", data=model, files=files).raise_for_status()
    assert client.post("/v1/audio/speech", json={**speech, "model": "none"}).status_code == 404
    with client.stream("POST", "/v1/audio/speech", json=speech) as answer:
        next(answer.iter_bytes())
    job = client.post("/v1/audio/jobs", json={**speech, "input": "Yes."}).raise_for_status().json()
    client.delete(f"/v1/audio/jobs/{job['id']}").raise_for_status()


def test_every_panel_of_the_dashboard_has_data(server: Server, scraping: prometheus.Prometheus) -> None:
    missing = queries()
    deadline = time.monotonic() + _DEADLINE
    with httpx.Client(base_url=server.url, timeout=300) as client:
        while scraping.values("count(up == 1)") != [2]:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        while missing:
            # A rate needs two scrapes with requests between them.
            assert time.monotonic() < deadline, "\n".join(missing.values())
            ask(client)
            missing = {query: title for query, title in missing.items() if not scraping.values(query)}


def test_only_queries_that_cannot_have_data_are_left_out() -> None:
    text = DASHBOARD.read_text()
    assert all(name in text for name in WITHOUT_DATA)
    assert len(queries()) > 40
