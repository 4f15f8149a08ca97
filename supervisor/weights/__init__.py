"""The models' weights: what lies in MODEL_DIR, fetched, verified and packed."""

from supervisor.weights.errors import AbsentError, FetchError
from supervisor.weights.fetching import extras, fetch, missing, wanted
from supervisor.weights.progress import Progress

__all__ = ["AbsentError", "FetchError", "Progress", "extras", "fetch", "missing", "wanted"]
