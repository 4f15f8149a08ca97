"""The file of the fast graph: built at the first load of a checkpoint, and kept beside the weights.

It is built here and not when the weights are fetched, so that every way to get them leads to it: a download, a bundle,
a volume, a checkpoint of the operator's own. The build takes up to two seconds of a core.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tritone.whole_file import writing_whole

VERSION: Final = "6"
"""Change it with the graph that is built, so that earlier files are not used."""

_CPU: Final = Path("/proc/cpuinfo")


def has_vnni() -> bool:
    """Return whether the CPU is known to have VNNI: instructions that multiply unsigned by signed eight-bit numbers."""
    try:
        flags = set(_CPU.read_text("utf-8").split())
    except OSError:
        return False
    return not flags.isdisjoint({"avx512_vnni", "avx_vnni"})


def fast_graph(published: Path, cache: Path, report: Callable[[str], None] = print) -> Path | bytes | None:
    """Return the fast graph of the model `published`: its file below `cache`, or its content if no file can be written.

    The file's name has a hash of the model, `VERSION`, and whether it is for CPUs with VNNI; a file of data beside it
    has the constants. Both appear complete or not at all, the data first. Returns None, and reports it, for another
    model than Kokoro's as published.
    """
    with published.open("rb") as model:
        digest = hashlib.file_digest(model, "sha256").hexdigest()[:32]
    for_vnni = has_vnni()
    file = cache / f"{digest}-{VERSION}{'-vnni' if for_vnni else ''}.onnx"
    data = file.with_suffix(".data")
    if os.access(file, os.R_OK) and os.access(data, os.R_OK):  # another user may have written them
        return file
    from adapters.kokoro import fast_graph, graph_editor  # noqa: PLC0415 - they import onnx, which only a build needs

    report(f"{published}: building the faster graph, once (some seconds, at most 190 MB in {cache})")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with writing_whole(file) as out, writing_whole(data) as values:
            fast_graph.build(published, out, values, data.name, for_vnni=for_vnni)
        for other in set(cache.glob(f"{digest}-*")) - set(cache.glob(f"{digest}-{VERSION}[-.]*")):
            with contextlib.suppress(OSError):
                other.unlink()  # of another version
        return file
    except graph_editor.UnknownGraphError as error:
        report(f"{published} is used as it is: no faster graph is known for it ({error})")
        return None
    except OSError as error:
        report(f"the faster graph is built at each load: {error}")
    content = io.BytesIO()
    fast_graph.build(published, content, for_vnni=for_vnni)
    return content.getvalue()
