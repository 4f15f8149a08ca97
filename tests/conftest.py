"""What holds for every test."""

import os

from hypothesis import HealthCheck, settings

# Tests that start processes share theirs with gRPC clients, whose fork handlers fail in a child under load; every child
# here is an `exec` away from being another program, and needs none of them.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

# How long an example takes, or to think of it, tells of the machine and not of the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
