"""Open the voices of a gateway."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from gateway.core.errors import VoicesUnavailable
from gateway.core.voices.objects import Objects
from gateway.core.voices.store import VoiceStore
from gateway.settings import GatewaySettings

_CLEAN_SECONDS: Final = 600.0

logger = logging.getLogger(__name__)


@asynccontextmanager
async def open_voices(settings: GatewaySettings) -> AsyncIterator[VoiceStore]:
    """Open the voices of `settings` for the block; the store is reached when it is first needed."""
    store = VoiceStore(Objects(settings.voices_dir, settings.voices_url))
    cleaning = asyncio.create_task(_clean_forever(store))
    try:
        yield store
    finally:
        cleaning.cancel()
        with suppress(asyncio.CancelledError):
            await cleaning


async def _clean_forever(store: VoiceStore) -> None:
    while True:
        await asyncio.sleep(_CLEAN_SECONDS)
        try:
            await store.clean()
        except VoicesUnavailable as error:
            logger.warning("the voices could not be cleaned: %s", error.detail)
        except Exception:  # the next time may do better
            logger.exception("the voices could not be cleaned")
