"""The stand-in of Triton's module with its own types, which have more than those of the real one in `typings`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.stand_ins import triton_python_backend_utils as pb_utils
else:
    import triton_python_backend_utils as pb_utils  # the module object that the adapters import, too

__all__ = ["pb_utils"]
