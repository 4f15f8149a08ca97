"""The models' weights: what lies in MODEL_DIR, fetched, verified and packed."""

from supervisor.weights.errors import FetchError
from supervisor.weights.fetching import fetch, missing, wanted
from supervisor.weights.progress import Progress

__all__ = ["FetchError", "Progress", "fetch", "missing", "wanted"]
