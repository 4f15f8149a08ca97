"""The request options that a model supports."""

from __future__ import annotations

from collections.abc import Container

from tritone.catalogue import Catalogue
from tritone.errors import InvalidInput
from tritone.options import Options


def check_supported(options: Options, supported: Container[str]) -> None:
    """Raise `InvalidInput` with the name of an option that is set and not in `supported`."""
    for name in options.to_parameters():
        if name not in supported:
            models = ", ".join(Catalogue.load().supporting(name)) or "none"
            raise InvalidInput(name, f"not supported by this model; leave it out, or use a model that has it: {models}")
