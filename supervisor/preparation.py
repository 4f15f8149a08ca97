"""Preparation of a start: weights are fetched and environments are built, as far as they are missing."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from supervisor import console, weights
from supervisor.errors import StartError
from supervisor.plan import Plan
from supervisor.processes import IDLE_GRACE, Process
from tritone.checkpoints import UnusableCheckpointError


async def prepare(plan: Plan) -> Plan:
    """Fetch the missing weights and build the missing environments, side by side; return the plan to serve.

    If the weights of models that are only defaults cannot be fetched, the embedded defaults replace them. Raises
    `StartError`.
    """
    if plan.fitted:  # the weights decide which environments are needed
        plan = await _fetch_or_replace(plan)
        await _fetch_extras(plan)
        await build(plan)
    else:
        _missing(plan)  # a wrong checkpoint is reported before anything is built
        await _together(_fetch_all(plan), build(plan))
    return plan


async def _together(*steps: Coroutine[Any, Any, None]) -> None:
    """Await all steps. If one fails, stop the others."""
    tasks = [asyncio.create_task(step) for step in steps]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _fetch_or_replace(plan: Plan) -> Plan:
    try:
        await _fetch_weights(plan)
    except StartError:
        embedded = plan.with_embedded_defaults()
        lost = [model.id for model in plan.models if model not in embedded.models]
        if not lost:
            raise
        console.info(f"the weights of {', '.join(lost)} cannot be fetched: the embedded defaults are served instead")
        plan = embedded
        await _fetch_weights(plan)
    return plan


async def _fetch_all(plan: Plan) -> None:
    wanted, missing = _missing(plan)
    extras = weights.extras(plan.models)
    if missing and extras:
        await _step(plan, "weights", "supervisor.weights", *wanted, "--extras", *extras)
        if weights.missing(plan.settings.model_dir, extras):
            console.info(_served_without(extras))
    else:
        await _fetch_weights(plan)
        await _fetch_extras(plan)


async def build(plan: Plan) -> None:
    """Build the environments of the plan that are missing. Raises `StartError`."""
    await _step(plan, "environments", "supervisor.environments", "--build", *plan.environments)


async def _fetch_weights(plan: Plan) -> None:
    wanted, missing = _missing(plan)
    if missing:
        optional = ["--optional"] * plan.fitted
        await _step(plan, "weights", "supervisor.weights", *optional, *wanted)


def _missing(plan: Plan) -> tuple[list[str], list[Path]]:
    """Return the names of the plan's weights, and the files that are missing. Raises `StartError`."""
    try:
        wanted = weights.wanted(plan.models, plan.catalogue, plan.variables())
        return wanted, weights.missing(plan.settings.model_dir, wanted)
    except (weights.FetchError, UnusableCheckpointError) as error:
        raise StartError(f"not started: {error}") from None


async def _fetch_extras(plan: Plan) -> None:
    """Fetch weights that only some requests need; without them these requests are rejected."""
    extras = weights.extras(plan.models)
    if weights.missing(plan.settings.model_dir, extras):
        try:
            await _step(plan, "weights", "supervisor.weights", "--optional", *extras)
        except StartError:
            console.info(_served_without(extras))


def _served_without(extras: list[str]) -> str:
    return f"{', '.join(extras)} cannot be fetched: served without it"


async def _step(plan: Plan, name: str, module: str, *arguments: str) -> None:
    command = [sys.executable, "-m", module, *arguments]
    variables = plan.variables()
    async with Process.running(name, command, variables, grace=IDLE_GRACE, last_signal=signal.SIGTERM) as step:
        if await step.wait():
            raise StartError(f"not started: the {name} could not be prepared")
