"""Completion of MODEL_DIR: each file from the cache, or from the first source that serves exactly that content."""

from __future__ import annotations

import os
import queue
import shutil
import tempfile
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from supervisor.cache import cache_folder
from supervisor.weights import conversion, manifest, packages, web
from supervisor.weights.errors import AbsentError, FetchError, SourceError, SourceUnreachableError
from supervisor.weights.manifest import Entry, Kind, Source
from supervisor.weights.progress import Progress
from supervisor.weights.store import Store, drop_damaged, has_size
from tritone.catalogue import Catalogue
from tritone.checkpoints import by_setting
from tritone.families import Model

_VAD = "silero-vad"  # splits long audio, for every transcription model
_SPEAKERS = "speaker-embedding"  # distinguishes speakers; 27 MB that only `diarized_json` needs

_END_S = 2.0
"""Seconds for a thread to end its download."""


def wanted(models: Iterable[Model], catalogue: Catalogue, environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return the manifest's ids that these models need, without those for which a setting names a checkpoint.

    A model that is not in the manifest loads files that the operator has put there. Raises `UnusableCheckpointError`
    for a setting that names a folder without a suitable checkpoint.
    """
    chosen = list(models)
    known = manifest.load()
    ids = [model.weights for model in chosen if model.weights in known and not by_setting(model, catalogue, environ)]
    return ids + [_VAD] * any(model.kind == "transcription" for model in chosen)


def extras(models: Iterable[Model]) -> list[str]:
    """Return the manifest's ids that these models use, but can be served without."""
    return [_SPEAKERS] * any(model.kind == "transcription" for model in models)


def entries(ids: Iterable[str]) -> list[Entry]:
    """Return the manifest's entries; an unknown id raises `FetchError` with the known ones."""
    known = manifest.load()
    for id_ in ids:
        if id_ not in known:
            raise FetchError(f"no weights are known for {id_!r}; choose from {', '.join(known)}")
    return [known[id_] for id_ in ids]


def missing(model_dir: Path, ids: Sequence[str]) -> list[Path]:
    """Return the files of `ids` that are missing in MODEL_DIR, or have a wrong size. Uses no network.

    It reads content only of a checkpoint that must be converted.
    """
    chosen = entries(ids)
    published = [entry for entry in chosen if not _is_custom(model_dir, entry)]
    files = [(model_dir / e.id / name, blobs) for e in published for name, blobs in e.files.items()]
    unconverted = [path for entry in chosen for path in conversion.unconverted(model_dir / entry.id, model_dir)]
    return [path for path, blobs in files if not has_size(path, blobs)] + unconverted


def fetch(
    model_dir: Path,
    ids: Sequence[str],
    *,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
    verify: bool = False,
    optional: Collection[str] = (),
) -> None:
    """Complete the files of `ids` in MODEL_DIR; with `verify`, replace those with damaged content.

    A checkpoint of the operator's own that needs a conversion is converted. `cache_dir` replaces the user's cache
    folder. Raises `FetchError` if no source serves a file of `ids` that are not `optional`, or the disk is full; files
    that have arrived by then stay.
    """
    if not verify and not missing(model_dir, ids):
        return
    progress = progress or Progress()
    store = Store(cache_dir or cache_folder())
    chosen = [entry for entry in entries(ids) if not _is_custom(model_dir, entry)]
    try:
        with tempfile.TemporaryFile(dir=_existing(model_dir)):
            pass  # a folder that cannot be written is reported before anything is downloaded
        with store.lock(lambda: progress.info("waiting for another fetch to end")):
            if verify:
                _drop_damaged(store, model_dir, chosen, progress)
            _Fetch(store, model_dir, progress).run(chosen, optional)
    except OSError as error:
        raise FetchError(
            f"the weights cannot be stored: {error}: set MODEL_DIR and TRITONE_CACHE to folders, or mount volumes "
            f"there, that user {os.geteuid()} can write"
        ) from error
    for folder in (model_dir / id_ for id_ in ids if conversion.needed(model_dir / id_)):
        conversion.convert(folder, model_dir, progress)


def check_space(folder: Path, needed: int) -> None:
    """Raise `FetchError` unless the disk of `folder`, which need not exist yet, has `needed` bytes free."""
    folder = _existing(folder)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise FetchError(f"not enough disk space in {folder}: {needed / 1e6:.0f} MB needed, {free / 1e6:.0f} MB free")


class _Fetch:
    """A pass over the sources; its caller holds the cache's lock."""

    def __init__(self, store: Store, model_dir: Path, progress: Progress) -> None:
        self._store = store
        self._model_dir = model_dir
        self._progress = progress
        self._unreachable: set[str] = set()
        self._skipped: list[str] = []

    def run(self, chosen: Sequence[Entry], optional: Collection[str]) -> None:
        """Complete all entries side by side. Raises `AbsentError` for files of those that are not `optional`."""
        self._check_space(chosen)
        absent = self._complete_all(chosen)
        missing = [line for entry in chosen if entry.id not in optional for line in absent[entry.id]]
        if missing:
            raise AbsentError(
                "\n".join(["these files are missing:", *missing, "no source serves them:", *self._skipped])
                + "\nput them there by hand, or unpack a bundle (scripts/fetch_models --bundle FILE, on a machine with "
                "network), then run this again"
            )

    def _complete_all(self, chosen: Sequence[Entry]) -> dict[str, list[str]]:
        """Complete each entry in a thread of its own; return the lines of its absent files by the entry's id.

        At an error or a signal the downloads are ended; a connection that waits for bytes is left to the process's end.
        """
        results: queue.SimpleQueue[tuple[str, list[str] | BaseException]] = queue.SimpleQueue()

        def complete(entry: Entry) -> None:
            try:
                for source in entry.sources:
                    self._try(entry, source)
                results.put((entry.id, self._place(entry)))
            except BaseException as error:  # raised in the thread that waits
                results.put((entry.id, error))

        threads = [threading.Thread(target=complete, args=(entry,), daemon=True) for entry in chosen]
        absent: dict[str, list[str]] = {}
        try:
            for thread in threads:
                thread.start()
            while len(absent) < len(threads):
                id_, result = results.get()
                if isinstance(result, BaseException):
                    raise result
                absent[id_] = result
        except BaseException:
            self._store.ending.set()
            for thread in threads:
                if thread.ident is not None:
                    thread.join(_END_S)
            raise
        return absent

    def _try(self, entry: Entry, source: Source) -> None:
        """Fetch the files that are still missing from one source; a failure is one line of output."""
        files = {name: source.locations[name] for name in self._missing(entry) if name in source.locations}
        if not files or source.endpoint in self._unreachable or self._store.ending.is_set():
            return
        self._progress.info(f"{entry.id}: {len(files)} of {len(entry.files)} files from {source}")
        fetch_from = web.fetch if source.kind in (Kind.HUB, Kind.URL) else packages.fetch
        try:
            fetch_from(source, files, self._store, self._progress)
        except SourceError as error:
            if self._store.ending.is_set():
                return
            self._progress.info(f"{source} skipped: {error}")
            self._skipped.append(f"  {source}: {error}")
            if isinstance(error, SourceUnreachableError):
                self._unreachable.add(source.endpoint)

    def _missing(self, entry: Entry) -> Iterator[str]:
        """Yield the files that are neither in MODEL_DIR nor in the cache."""
        for name, blobs in entry.files.items():
            if not has_size(self._model_dir / entry.id / name, blobs) and not any(map(self._store.has, blobs)):
                yield name

    def _place(self, entry: Entry) -> list[str]:
        """Put the entry's files into MODEL_DIR; return a line for each that is not in the cache."""
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
        size = sum(entry.files[name][0].size for entry in chosen for name in self._missing(entry))
        check_space(self._store.root, 2 * size)  # a package and the files unpacked from it exist at the same time
        if _existing(self._model_dir).stat().st_dev != _existing(self._store.root).stat().st_dev:
            absent = sum(
                blobs[0].size
                for entry in chosen
                for name, blobs in entry.files.items()
                if not has_size(self._model_dir / entry.id / name, blobs)
            )
            check_space(self._model_dir, absent)


def _is_custom(model_dir: Path, entry: Entry) -> bool:
    """Return whether the folder holds a checkpoint of the operator's own, which is not checked or replaced."""
    if conversion.needed(model_dir / entry.id):
        return True
    files = [(model_dir / entry.id / name, entry.files[name]) for name in entry.custom_if_changed]
    return all(path.exists() for path, _ in files) and any(not has_size(path, blobs) for path, blobs in files)


def _drop_damaged(store: Store, model_dir: Path, chosen: Sequence[Entry], progress: Progress) -> None:
    for entry in chosen:
        for name, blobs in entry.files.items():
            placed = model_dir / entry.id / name
            for path, contents in ((placed, blobs), *((store.blob(blob), (blob,)) for blob in blobs)):
                if drop_damaged(path, contents):
                    progress.info(f"{path} was damaged")


def _existing(folder: Path) -> Path:
    """Return the folder, or its nearest parent that exists."""
    folder = folder.absolute()
    return next(path for path in (folder, *folder.parents) if path.exists())
