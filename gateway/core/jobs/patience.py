"""Try work again that failed for a reason that may pass: a model that is loading, a server that is restarted."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from gateway.core.errors import (
    ContextExceeded,
    DeadlineExceeded,
    InternalError,
    JobConflict,
    LanguageModelBusy,
    LanguageModelFailed,
    LanguageModelMissing,
    LanguageModelRefused,
    ModelNotFound,
    ModelUnavailable,
    PayloadTooLarge,
    ResultsUnavailable,
    ServiceError,
    StorageFull,
    TooManyRequests,
    VoiceConflict,
    VoiceNotFound,
    VoicesUnavailable,
)
from gateway.core.jobs.job import JobError
from gateway.core.jobs.ledger import JobFailed, JobGivenUp
from tritone.errors import InvalidInput

T = TypeVar("T")

_PAUSES: Final = 0.5, 1.0, 2.0, 4.0, 8.0, 15.0
"""Seconds before another try; the last pause is repeated."""
_AWAY: Final = (
    ModelUnavailable,
    TooManyRequests,
    StorageFull,
    ResultsUnavailable,
    VoicesUnavailable,
    LanguageModelBusy,
)
"""What is waited for."""
_FAULT: Final = (DeadlineExceeded, InternalError, LanguageModelFailed)
_FAULTS: Final = 3
"""Tries after which a fault of the server counts as lasting."""

logger = logging.getLogger(__name__)


async def patiently(work: Callable[[], Awaitable[T]], seconds: float, before_pause: Callable[[], None]) -> T:
    """Return the result of `work`, which is repeated until it does not fail for want of a model or of disk space.

    Raises `JobGivenUp` if that takes longer than `seconds`, or if the server fails on it several times, and `JobFailed`
    at once if the request is wrong.
    """
    deadline = time.monotonic() + seconds
    tries = faults = 0
    while True:
        try:
            return await work()
        except _AWAY as error:
            left = deadline - time.monotonic()
            if left <= 0:
                raise JobGivenUp(JobError(f"{error.message} (tried for {seconds:g} s)")) from error
            least = min(getattr(error, "retry_after", None) or 0, left)
            last: ServiceError = error
        except _FAULT as error:
            faults += 1
            if faults >= _FAULTS:
                raise JobGivenUp(JobError(error.message)) from error
            least, last = 0, error
        except (InvalidInput, PayloadTooLarge, VoiceConflict) as error:
            raise JobFailed(JobError(error.problem, error.field)) from error
        except ModelNotFound as error:
            raise JobFailed(JobError(error.message, "model")) from error
        except (JobConflict, VoiceNotFound, LanguageModelRefused, LanguageModelMissing, ContextExceeded) as error:
            raise JobFailed(JobError(error.message)) from error
        pause = max(least, _PAUSES[min(tries, len(_PAUSES) - 1)])
        tries += 1
        logger.warning("job waits %g s: %s (%s)", pause, last.message, last.detail)
        before_pause()
        await asyncio.sleep(pause)
