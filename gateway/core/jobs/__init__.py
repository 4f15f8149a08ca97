"""Durable jobs: transcriptions and long speech that outlive the request, the gateway and the worker that runs them.

A job's state is in a store (`store.py`, the port; `dbos_store.py`, SQLite or PostgreSQL), its files in JOBS_DIR
(`files.py`). Workers (`worker.py`) run `transcription.py` and `speech.py`, which record each finished step, so that a
job continues where its worker died.
"""
