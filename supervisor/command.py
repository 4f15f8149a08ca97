"""The command line: serve what the settings choose until a signal asks to stop."""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections.abc import Iterator

from pydantic import ValidationError

from adapters.settings import UnusableSettingError
from supervisor import console, preflight
from supervisor.plan import Plan
from supervisor.processes import ProcessDiedError, adopt_orphans
from supervisor.serve import StartError, prepare, serve
from supervisor.settings import Settings
from tritone.catalogue import UnknownModelError

FAILED = 1
BAD_SETTINGS = 2


async def run(plan: Plan) -> int:
    """Prepare and serve; 0 when a signal asked to stop, else 1 after saying why."""
    adopt_orphans()
    stop_on_signals()
    try:
        await serve(await prepare(plan))
    except asyncio.CancelledError:
        console.info("stopped")
        return 0
    except (StartError, ProcessDiedError) as error:
        console.error(str(error))
    return FAILED


def stop_on_signals() -> None:
    """Cancel this task at the first SIGINT, SIGTERM or SIGHUP; further ones change nothing."""
    task = asyncio.current_task()
    assert task
    asked = False

    def ask() -> None:
        nonlocal asked
        if not asked:
            asked = True
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, ask)


def settings_help() -> Iterator[str]:
    """A line for each setting."""
    for name, field in Settings.model_fields.items():
        default = f" [{field.default}]" if field.default not in (None, "", (), {}) else ""
        yield f"  {name.upper():22}{field.description}{default}"


def main() -> int:
    """Read the settings, look whether they can be served, and serve. Returns the exit status."""
    argparse.ArgumentParser(
        prog="scripts/serve",
        description="Serve speech until Ctrl-C.\n\nSettings, from the environment or .env:\n"
        + "\n".join(settings_help()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    try:
        plan = Plan.make(Settings())
    except ValidationError as error:
        for problem in error.errors():
            setting = "".join(f"{str(name).upper()}={problem['input']}: " for name in problem["loc"][:1])
            console.error(setting + problem["msg"].removeprefix("Value error, "))
        return BAD_SETTINGS
    except (UnknownModelError, UnusableSettingError) as error:
        console.error(str(error))
        return BAD_SETTINGS
    if impossible := list(preflight.impossible(plan)):
        console.error("\n".join(impossible))
        return BAD_SETTINGS
    if findings := list(preflight.findings(plan.settings)):
        console.error("\n".join(findings))
        return FAILED
    for note in plan.notes:
        console.info(note)
    return asyncio.run(run(plan))
