"""What every adapter needs of the Python backend: errors, metrics, settings, and the loop of each interface."""
