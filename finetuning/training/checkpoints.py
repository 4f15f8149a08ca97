"""Checkpoints and states on disk: each appears whole, or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from adapters.qwen3_tts.inflight.model.weights import UnreadableCheckpointError, Weights
from finetuning.dataset import Dataset
from finetuning.errors import FineTuningError
from finetuning.training.learner import Learner
from finetuning.training.start import FINE_TUNED, Start, weight_files
from tritone.folder_swap import put_in_place

_TALKER = "talker."
_EMBEDDING = "model.codec_embedding.weight"


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """Give a path to write a file or a folder at, which then replaces `path`.

    After an error nothing of it is left, and a former file or folder stays. Raises `FineTuningError` if the disk is
    full.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield fresh
        if path.is_dir():
            put_in_place(fresh, path)
        else:
            fresh.replace(path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            free = shutil.disk_usage(path.parent).free
            message = f"no space left for {path} ({free / 1e9:.1f} GB are free): free some, and run the same again"
            raise FineTuningError(message) from None
        raise
    finally:
        if fresh.is_dir():
            shutil.rmtree(fresh)
        else:
            fresh.unlink(missing_ok=True)


def save_state(path: Path, step: int, learner: Learner) -> None:
    """Save all that a resumption needs."""
    with appearing(path) as fresh, fresh.open("wb") as file:
        try:
            torch.save({"step": step, **learner.state()}, file)
        except RuntimeError as error:  # torch's writer has no errno
            if shutil.disk_usage(path.parent).free < (1 << 20):
                raise OSError(errno.ENOSPC, str(error)) from None
            raise
        file.flush()
        os.fsync(file.fileno())


def load_state(path: Path, learner: Learner) -> int:
    """Continue from a saved state; return its step. It is read into the host's memory: a GPU has no room for two."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    learner.load_state(state)
    return int(state["step"])


def write_checkpoint(folder: Path, start: Start, dataset: Dataset, learner: Learner, record: Mapping[str, Any]) -> None:
    """Write the learner's weights as a CustomVoice checkpoint, in the precision of the start; adapters are merged.

    `record` is the content of `finetuning.json`.
    """
    with appearing(folder) as fresh:
        fresh.mkdir()
        for path in start.folder.iterdir():
            if path not in weight_files(start.folder) and path.name not in ("config.json", FINE_TUNED):
                _link(path, fresh / path.name)
        _write_json(fresh / "config.json", start.config)
        _write_json(fresh / FINE_TUNED, record)
        _save(fresh / "model.safetensors", dict(_tensors(start, dataset, learner)))


def copy_checkpoint(source: Path, folder: Path) -> None:
    """Copy a checkpoint to a new folder, and read it back; raises `FineTuningError` if the folder exists."""
    if folder.exists():
        raise FineTuningError(f"{folder} exists: delete it, or choose another name")
    with appearing(folder) as fresh:
        _link(source, fresh)
        try:
            Weights.load(fresh)
        except (UnreadableCheckpointError, OSError) as error:
            raise FineTuningError(f"the written checkpoint cannot be read: {error}") from error


def _tensors(start: Start, dataset: Dataset, learner: Learner) -> Iterator[tuple[str, Tensor]]:
    whole, changes = learner.new_weights(), learner.changes()
    for path in weight_files(start.folder):
        with safe_open(path, "pt") as file:
            for full_name in file.keys():  # noqa: SIM118 - it is no mapping
                if not full_name.startswith(_TALKER):
                    continue  # the speaker encoder
                weight, name = file.get_tensor(full_name), full_name.removeprefix(_TALKER)
                dtype = weight.dtype
                if name in whole:
                    weight = whole[name].cpu()
                elif name in changes:
                    weight = weight.float() + changes[name].cpu()
                elif name == _EMBEDDING:
                    for row, embedding in start.new_rows(dataset).items():
                        weight[row] = embedding.to(dtype)
                yield full_name, weight.to(dtype).contiguous()


def _save(path: Path, tensors: Mapping[str, Tensor]) -> None:
    try:
        save_file(dict(tensors), path, metadata={"format": "pt"})
    except Exception as error:  # its own type, which names the system's error in words
        if "No space left" in str(error):
            raise OSError(errno.ENOSPC, str(error)) from None
        raise


def _link(source: Path, target: Path) -> None:
    """Make `target` the same file or folder as `source`: by hard links, or by copies where they are impossible."""
    if source.is_dir():
        target.mkdir()
        for path in source.iterdir():
            _link(path, target / path.name)
        return
    try:
        os.link(source.resolve(), target)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        shutil.copyfile(source, target)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8")
