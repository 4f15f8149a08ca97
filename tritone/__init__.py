"""The shared core: the contract, the catalogue of models, languages and windows, for all other packages."""

import os

# onnxruntime reads it when it is imported, and would else send reports about models and machine to its makers.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

VERSION = "0.1.0"
"""The version of the project; pyproject.toml has the same."""
