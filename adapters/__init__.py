"""The code that runs inside Triton: a package for each family; `triton`, `speech` and `companions` for all."""

import tritone  # noqa: F401 - before onnxruntime, which is then told to report nothing
