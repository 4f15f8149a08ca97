"""The order of work: admission, chunked prefill, decode steps, audio chunks, runaway detection."""
