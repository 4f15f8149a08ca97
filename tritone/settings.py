"""Environment variables as data: each is declared once, and read by all processes that need it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

T = TypeVar("T", str, int, str | int)


class UnusableSettingError(ValueError):
    """A setting has a value that cannot be used; the message names the setting and the values that can."""


@dataclass(frozen=True)
class Setting(Generic[T]):
    """An environment variable."""

    name: str
    default: T
    description: str
    choices: tuple[str, ...] = ()
    """The allowed values, in any case; () allows any text."""
    least: int = 1
    """The least number that is allowed."""
    gpu_only: tuple[str, ...] = ()
    """Choices that need a GPU."""

    def read(self, environ: Mapping[str, str] = os.environ) -> T:
        """Return the value, or the default for an empty one; raises `UnusableSettingError`."""
        value = environ.get(self.name) or ""
        if not value:
            return self.default
        if isinstance(self.default, int):
            if not value.isdecimal() or int(value) < self.least:
                raise UnusableSettingError(f"{self.name}={value} must be a whole number, {self.least} or more")
            return int(value)
        if self.choices and value.lower() not in self.choices:
            raise UnusableSettingError(f"{self.name}={value} is unknown; choose from {', '.join(self.choices)}")
        return value.lower() if self.choices else value


RUN_FOLDER: Final = "TRITONE_RUN_FOLDER"
"""The variable that tells the processes of Triton the folder of the supervisor's run; it is no setting."""

API_HOST: Final = Setting(
    "API_HOST", "127.0.0.1", "Address that the gateway listens on; `0.0.0.0` accepts connections from other machines."
)
API_PORT: Final = Setting(
    "API_PORT",
    8899,
    "Port that the gateway listens on. Where it is not set, the variables of platforms count: SageMaker's "
    "`SAGEMAKER_BIND_TO_PORT`, then Cloud Run's `PORT`.",
)
PLATFORM_PORTS: Final = ("SAGEMAKER_BIND_TO_PORT", "PORT")
"""Variables in which platforms name the port, the first that is set counts."""
MODEL_DIR: Final = Setting("MODEL_DIR", "models", "Folder of the weights; relative to the clone.")
DRAIN_TIMEOUT: Final = Setting(
    "DRAIN_TIMEOUT",
    30,
    "Seconds for open requests after SIGTERM, in the gateway and then in Triton.",
    least=0,
)
MAX_INPUT_CHARS: Final = Setting("MAX_INPUT_CHARS", 4096, "Characters that one speech request may hold.")
CPU_THREADS: Final = Setting("CPU_THREADS", 0, "CPU threads that one computation may use; 0: every core.", least=0)
VOICE_KEY_MB: Final = Setting(
    "VOICE_KEY_MB",
    128,
    "Memory for the recordings that requests name by `voice_key`, in each instance of a cloning model, in MB.",
)
VOICE_KEY_SECONDS: Final = Setting(
    "VOICE_KEY_SECONDS",
    3600,
    "Seconds after which a model forgets a recording that was not sent again, and so a deleted voice in any case.",
)
EXTRA_FAMILIES: Final = Setting(
    "EXTRA_FAMILIES",
    "",
    "Folders of further model families, each with a `family.toml`, relative to the clone and separated by commas.",
)

SHARED: Final = (
    API_HOST,
    API_PORT,
    MODEL_DIR,
    DRAIN_TIMEOUT,
    MAX_INPUT_CHARS,
    CPU_THREADS,
    VOICE_KEY_MB,
    VOICE_KEY_SECONDS,
    EXTRA_FAMILIES,
)
"""The settings that more than one process reads, or every model."""


def platform_port(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return `api_port` as the platform wants it, for a process whose setting is not given; or nothing."""
    port = next(filter(None, map(environ.get, PLATFORM_PORTS)), None)
    return {"api_port": port} if port else {}
