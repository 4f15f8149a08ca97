"""The models' weights: fetched into MODEL_DIR, verified, and packed for machines without a network."""

from supervisor.weights.errors import AbsentError, FetchError
from supervisor.weights.fetching import extras, fetch, missing, wanted
from supervisor.weights.progress import Progress

__all__ = ["AbsentError", "FetchError", "Progress", "extras", "fetch", "missing", "wanted"]
