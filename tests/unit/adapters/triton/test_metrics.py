"""A stub registers the metrics of its kind of model, and no others."""

from __future__ import annotations

import pytest

from adapters.triton.metrics import Metrics, ModelKind
from tests.unit.adapters.stand_in import pb_utils
from tritone.metrics import MODEL_METRICS, SOURCES


@pytest.mark.parametrize("kind", ["speech", "transcription", "companion"])
def test_model_registers_the_metrics_of_its_kind(kind: ModelKind) -> None:
    metrics = Metrics("m", kind)
    try:
        made = {(metric.name, *metric.labels) for metric in pb_utils.Metric.alive}
        assert made == {(spec.name, *spec.labels) for spec in MODEL_METRICS if spec.source in SOURCES[kind]}
    finally:
        metrics.close()
