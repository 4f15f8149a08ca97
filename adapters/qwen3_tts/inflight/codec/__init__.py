"""The codec decoder: from codes to samples, in chunks, for many streams at once."""
