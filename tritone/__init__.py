"""The shared core: the contract, the catalogue of models, languages and windows, for all other packages."""

VERSION = "0.1.0"
"""The version of the project; pyproject.toml has the same."""
