"""A rehearsal of the containers: both images and the composition, run for real and checked."""
