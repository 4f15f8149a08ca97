"""Requests made from the OpenAPI document have responses that follow it, whatever they hold."""

from __future__ import annotations

import asyncio

from tests.fake_triton import FakeTriton
from tests.schema_cases import send_cases
from tests.unit.gateway.conftest import Gateway

EXAMPLES = 5
"""Good and bad requests to each operation, so a few hundred in all; `scripts/bench faults` sends thousands."""


async def test_requests_made_from_the_document_have_responses_that_follow_it(
    gateway: Gateway, triton: FakeTriton
) -> None:
    findings = await asyncio.to_thread(send_cases, gateway.url, gateway.app.openapi(), EXAMPLES)
    assert not findings.problems
    assert findings.requests > 200
    assert {200, 400} <= findings.statuses.keys()
