"""What holds for every test."""

import os

# Tests that start processes share theirs with gRPC clients, whose fork handlers fail in a child under load; every child
# here is an `exec` away from being another program, and needs none of them.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
