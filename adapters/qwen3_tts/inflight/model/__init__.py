"""The talker, the code predictor and the sampler of codes, for many slots at once."""
