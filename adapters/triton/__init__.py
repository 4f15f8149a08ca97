"""The Python backend's side of every model: errors, metrics, the instance, and the request loop of each interface."""
