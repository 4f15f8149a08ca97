"""Preparation of a start: weights are fetched and environments are built, as far as they are missing."""

from __future__ import annotations

import signal
import sys

from supervisor import console, weights
from supervisor.errors import StartError
from supervisor.plan import Plan
from supervisor.processes import IDLE_GRACE, Process
from tritone.checkpoints import UnusableCheckpointError


async def prepare(plan: Plan) -> Plan:
    """Fetch the missing weights and build the missing environments; return the plan to serve.

    If the weights of models that are only defaults cannot be fetched, the embedded defaults replace them. Raises
    `StartError`.
    """
    try:
        await _fetch_weights(plan)
    except StartError:
        if not plan.fitted:
            raise
        embedded = plan.with_embedded_defaults()
        lost = [model.id for model in plan.models if model not in embedded.models]
        if not lost:
            raise
        console.info(f"the weights of {', '.join(lost)} cannot be fetched: the embedded defaults are served instead")
        plan = embedded
        await _fetch_weights(plan)
    await _fetch_extras(plan)
    await _step(plan, "environments", "supervisor.environments", "--build", *plan.environments)
    return plan


async def _fetch_weights(plan: Plan) -> None:
    try:
        wanted = weights.wanted(plan.models, plan.catalogue, plan.variables())
        missing = weights.missing(plan.settings.model_dir, wanted)
    except (weights.FetchError, UnusableCheckpointError) as error:
        raise StartError(f"not started: {error}") from None
    if missing:
        optional = ["--optional"] * plan.fitted
        await _step(plan, "weights", "supervisor.weights", *optional, *wanted)


async def _fetch_extras(plan: Plan) -> None:
    """Fetch weights that only some requests need; without them these requests are rejected."""
    extras = weights.extras(plan.models)
    if weights.missing(plan.settings.model_dir, extras):
        try:
            await _step(plan, "weights", "supervisor.weights", "--optional", *extras)
        except StartError:
            console.info(f"{', '.join(extras)} cannot be fetched: served without it")


async def _step(plan: Plan, name: str, module: str, *arguments: str) -> None:
    command = [sys.executable, "-m", module, *arguments]
    variables = plan.variables()
    async with Process.running(name, command, variables, grace=IDLE_GRACE, last_signal=signal.SIGTERM) as step:
        if await step.wait():
            raise StartError(f"not started: the {name} could not be prepared")
