"""The command line of `scripts/serve`."""

from __future__ import annotations

import argparse
import asyncio
import errno
import signal
from collections.abc import Iterator

from pydantic import ValidationError

from supervisor import console, preflight
from supervisor.errors import StartError
from supervisor.plan import Plan
from supervisor.preparation import prepare
from supervisor.processes import ProcessDiedError, adopt_orphans
from supervisor.serve import serve
from supervisor.settings import Settings
from tritone.catalogue import UnknownModelError
from tritone.families import FamilyFileError
from tritone.settings import SHARED, UnusableSettingError

FAILED = 1
BAD_SETTINGS = 2


async def run(plan: Plan) -> int:
    """Prepare and serve. Returns 0 after a signal to stop, or 1 after an error, which is logged."""
    adopt_orphans()
    stop_on_signals()
    try:
        await serve(await prepare(plan))
    except asyncio.CancelledError:
        console.info("stopped")
        return 0
    except (StartError, ProcessDiedError) as error:
        console.error(str(error))
    except OSError as error:
        if error.errno not in console.DISK_ERRORS | {errno.EACCES, errno.ENOTDIR, errno.EEXIST}:
            raise
        path = error.filename2 or error.filename  # of a link, the link
        where = f": {path}" if path else ""
        console.error(f"not started: {error.strerror}{where}: make room, or set TRITONE_CACHE to a writable folder")
    return FAILED


def stop_on_signals() -> None:
    """Cancel this task at the first SIGINT, SIGTERM or SIGHUP, and ignore further ones."""
    task = asyncio.current_task()
    assert task
    stopping = False

    def stop() -> None:
        nonlocal stopping
        if not stopping:
            stopping = True
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop)


def settings_help() -> Iterator[str]:
    """Yield a line for each setting."""
    for name, field in Settings.model_fields.items():
        default = f" [{field.default}]" if field.default not in (None, "", (), {}) else ""
        yield f"  {name.upper():22}{field.description}{default}"
    for setting in SHARED:
        if setting.name.lower() not in Settings.model_fields:
            yield f"  {setting.name:22}{setting.description}" + (f" [{setting.default}]" if setting.default else "")
    yield ""
    yield "  .env.example lists the settings of the gateway and of the models."


def main() -> int:
    """Read the settings, check them, and serve. Returns the exit status."""
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
    except (FamilyFileError, UnknownModelError, UnusableSettingError) as error:
        console.error(str(error))
        return BAD_SETTINGS
    if unusable := list(preflight.unusable_settings(plan)):
        console.error("\n".join(unusable))
        return BAD_SETTINGS
    if findings := list(preflight.findings(plan.settings)):
        console.error("\n".join(findings))
        return FAILED
    for note in plan.notes:
        console.info(note)
    return asyncio.run(run(plan))
