"""Clients of servers on loopback, which speak plain HTTP."""

from __future__ import annotations

import ssl
from typing import Final

NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""`verify` of a client that trusts no certificate: to read those of the authorities takes 25 ms of CPU a client."""
