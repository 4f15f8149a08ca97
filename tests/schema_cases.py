"""Requests made from the OpenAPI document, good and bad ones, and what is wrong with the responses."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode

_TIMEOUT: Final = 300
"""Seconds; a request of a few bytes that takes longer hangs."""


@dataclass
class Findings:
    """The requests that were sent, and the problems of their responses."""

    requests: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


def send_cases(url: str, document: Mapping[str, Any], examples: int, first_seed: int = 0) -> Findings:
    """Send `examples` good and as many bad requests to each operation of `document`; return what was found.

    A problem is a status 500, a response that breaks the document, or none at all.
    """
    findings = Findings()
    for index, (operation, mode) in enumerate(_operations(document)):
        _send(url, operation, mode, examples, first_seed + index, findings)
    return findings


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[Any, GenerationMode]]:
    schema = schemathesis.openapi.from_dict(dict(document))
    for found in schema.get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr]  # it raises for an invalid document
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            yield operation, mode


def _send(url: str, operation: Any, mode: GenerationMode, examples: int, number: int, findings: Findings) -> None:
    session = requests.Session()
    session.trust_env = False

    @seed(number)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        findings.requests += 1
        try:
            response = case.call(base_url=url, session=session, timeout=_TIMEOUT)
        except requests.RequestException as error:
            findings.problems.append(f"{_shown(case)}: {error!r}")
            return
        findings.statuses[response.status_code] += 1
        if response.status_code == 500:
            findings.problems.append(f"{_shown(case)}: {response.text[:300]}")
        if response.headers.get("content-type", [""])[0].startswith("text/event-stream"):
            return  # OpenAPI describes the data of an event, and schemathesis compares the whole event with it
        try:
            case.validate_response(response, checks=[schemathesis.checks.response_schema_conformance])
        except (Exception, BaseExceptionGroup) as error:  # schemathesis groups the failures of its checks
            findings.problems.append(f"{_shown(case)}: {response.status_code}: {_reason(error)}")

    try:
        send()
    except Exception as error:
        if type(error).__name__ != "Unsatisfiable":  # an operation without parameters has no bad request
            raise


def _reason(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(map(_reason, error.exceptions))
    return " ".join(str(error).split())[:400]


def _shown(case: Any) -> str:
    """Return a request in one line."""
    body = case.body if isinstance(case.body, str | int | float | list | dict | type(None)) else "..."
    return f"{case.method} {case.formatted_path} {case.query or ''} {json.dumps(body, default=repr)[:300]}"
