"""Several Tritons and gateways as processes, as a cluster runs them."""
