"""Models without weights of their own, which the supervisor loads beside the others."""
