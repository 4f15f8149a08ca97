"""WebSocket connections of tests by OpenAI's client."""

from typing import Any

OPTIONS: Any = {"open_timeout": 300}
"""Its `websocket_connection_options`; by default a connection fails that takes 10 s to open."""
