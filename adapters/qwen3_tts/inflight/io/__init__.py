"""The input and output of a request: prompts and cloned voices in, audio out."""
