"""MODEL_DIR made whole: each file from the cache, else from the first source that serves exactly that content."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from adapters.qwen3_tts.checkpoint import by_setting
from adapters.whisper import hugging_face
from supervisor.environments import cache_folder
from supervisor.weights import conversion, manifest, packages, web
from supervisor.weights.errors import AbsentError, FetchError, SourceError, UnreachableError
from supervisor.weights.manifest import Entry, Kind, Source
from supervisor.weights.progress import Progress
from supervisor.weights.store import Store, drop_damaged, has_size
from tritone.catalogue import Model

_VAD = "silero-vad"  # cuts long audio, whichever Whisper hears it
_SPEAKERS = "speaker-embedding"  # tells speakers apart; 27 MB that only `diarized_json` needs


def wanted(models: Iterable[Model], environ: Mapping[str, str] = os.environ) -> list[str]:
    """The manifest's ids for serving these models, less those whose checkpoint a setting names.

    A model that is not in the manifest loads what the user has put there. Raises `UnusableCheckpointError` for a
    setting that names a folder without a fitting checkpoint.
    """
    chosen = list(models)
    known = manifest.load()
    ids = [model.folder for model in chosen if model.folder in known and not by_setting(model, environ)]
    return ids + [_VAD] * any(model.kind == "transcription" for model in chosen)


def extras(models: Iterable[Model]) -> list[str]:
    """The manifest's ids of what these models are served without where it cannot be had."""
    return [_SPEAKERS] * any(model.kind == "transcription" for model in models)


def entries(ids: Iterable[str]) -> list[Entry]:
    """The manifest's entries; an id that it does not know raises `FetchError` with those that it does."""
    known = manifest.load()
    for id_ in ids:
        if id_ not in known:
            raise FetchError(f"no weights are known for {id_!r}; there are: {', '.join(known)}")
    return [known[id_] for id_ in ids]


def missing(model_dir: Path, ids: Sequence[str]) -> list[Path]:
    """The files of `ids` that MODEL_DIR lacks, or has in a wrong size. Reads no network.

    Nor content, but of a checkpoint that the user has put there to be converted.
    """
    chosen = entries(ids)
    ours = [entry for entry in chosen if not _brought(model_dir, entry)]
    files = [(model_dir / e.id / name, blobs) for e in ours for name, blobs in e.files.items()]
    unconverted = [path for entry in chosen for path in conversion.unconverted(model_dir / entry.id, model_dir)]
    return [path for path, blobs in files if not has_size(path, blobs)] + unconverted


def fetch(
    model_dir: Path,
    ids: Sequence[str],
    *,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
    verify: bool = False,
) -> None:
    """Complete the files of `ids` in MODEL_DIR; with `verify`, replace those whose content is damaged.

    A Whisper in Hugging Face's format that the user has put there is converted. `cache_dir` takes the place of the
    user's cache folder. Raises `FetchError` when a file is served by nobody, or there is no room; what has come by then
    stays.
    """
    if not verify and not missing(model_dir, ids):
        return
    progress = progress or Progress()
    store = Store(cache_dir or cache_folder())
    chosen = [entry for entry in entries(ids) if not _brought(model_dir, entry)]
    try:
        with store.lock(lambda: progress.say("waiting for another fetch to end")):
            if verify:
                _drop_damaged(store, model_dir, chosen, progress)
            _Fetch(store, model_dir, progress).run(chosen)
    except OSError as error:
        raise FetchError(f"cannot keep the weights: {error}") from error
    for folder in (model_dir / id_ for id_ in ids if hugging_face.is_checkpoint(model_dir / id_)):
        conversion.convert(folder, model_dir, progress)


def check_space(folder: Path, needed: int) -> None:
    """Raise `FetchError` unless `folder`, which need not exist yet, has room for so many bytes."""
    folder = _existing(folder)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise FetchError(f"not enough disk space in {folder}: {needed / 1e6:.0f} MB needed, {free / 1e6:.0f} MB free")


class _Fetch:
    """One pass over the sources, with the cache's lock held."""

    def __init__(self, store: Store, model_dir: Path, progress: Progress) -> None:
        self._store = store
        self._model_dir = model_dir
        self._progress = progress
        self._unreachable: set[str] = set()

    def run(self, chosen: Sequence[Entry]) -> None:
        self._check_space(chosen)
        absent: list[str] = []
        for entry in chosen:
            for source in entry.sources:
                self._ask(entry, source)
            absent += self._place(entry)
        if absent:
            raise AbsentError(
                "no source serves these files; put them here by hand, then run this again:\n" + "\n".join(absent)
            )

    def _ask(self, entry: Entry, source: Source) -> None:
        """Let one source bring what is still lacking; why it does not, is one line."""
        lacking = {name: source.locations[name] for name in self._lacking(entry) if name in source.locations}
        if not lacking or source.door in self._unreachable:
            return
        self._progress.say(f"{entry.id}: {len(lacking)} of {len(entry.files)} files from {source}")
        ask = web.fetch if source.kind in (Kind.HUB, Kind.URL) else packages.fetch
        try:
            ask(source, lacking, self._store, self._progress)
        except SourceError as error:
            self._progress.say(f"{source} passed over: {error}")
            if isinstance(error, UnreachableError):
                self._unreachable.add(source.door)

    def _lacking(self, entry: Entry) -> Iterator[str]:
        """The files that are neither in MODEL_DIR nor in the cache."""
        for name, blobs in entry.files.items():
            if not has_size(self._model_dir / entry.id / name, blobs) and not any(map(self._store.has, blobs)):
                yield name

    def _place(self, entry: Entry) -> list[str]:
        """Put the entry's files into MODEL_DIR; a line for each that is not to be had."""
        absent = []
        for name, blobs in entry.files.items():
            path = self._model_dir / entry.id / name
            if has_size(path, blobs):
                continue
            content = next(filter(self._store.has, blobs), None)
            if content is None:
                absent.append(f"  {path}  {blobs[0].size} bytes  sha256 {blobs[0].sha256}  {entry.page}")
            else:
                self._store.place(content, path)
        return absent

    def _check_space(self, chosen: Sequence[Entry]) -> None:
        lacking = sum(entry.files[name][0].size for entry in chosen for name in self._lacking(entry))
        check_space(self._store.root, 2 * lacking)  # a package and what is unpacked from it lie side by side
        if _existing(self._model_dir).stat().st_dev != _existing(self._store.root).stat().st_dev:
            absent = sum(
                blobs[0].size
                for entry in chosen
                for name, blobs in entry.files.items()
                if not has_size(self._model_dir / entry.id / name, blobs)
            )
            check_space(self._model_dir, absent)


def _brought(model_dir: Path, entry: Entry) -> bool:
    """Whether the folder holds a model that the user has put there: nothing in it is ours to judge or to replace."""
    if hugging_face.is_checkpoint(model_dir / entry.id):
        return True
    own = [(model_dir / entry.id / name, entry.files[name]) for name in entry.suffices]
    return all(path.exists() for path, _ in own) and any(not has_size(path, blobs) for path, blobs in own)


def _drop_damaged(store: Store, model_dir: Path, chosen: Sequence[Entry], progress: Progress) -> None:
    for entry in chosen:
        for name, blobs in entry.files.items():
            placed = model_dir / entry.id / name
            for path, contents in ((placed, blobs), *((store.blob(blob), (blob,)) for blob in blobs)):
                if drop_damaged(path, contents):
                    progress.say(f"{path} was damaged")


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    folder = folder.absolute()
    return next(path for path in (folder, *folder.parents) if path.exists())
