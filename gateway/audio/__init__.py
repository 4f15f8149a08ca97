"""Audio on its way out: encoded, and made faster or slower, while it is still being spoken."""
