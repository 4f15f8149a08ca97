"""Change the type and the rate of samples with FFmpeg, without the threads that `av.AudioResampler` starts."""

from __future__ import annotations

from collections.abc import Iterator

import av
from av.filter import Graph


class Resampler:
    """Converts frames of one form, in frames of a second; the channels stay as they are."""

    def __init__(self, first: av.AudioFrame, kind: str, rate: int) -> None:
        """`first` is the first of the frames, `kind` FFmpeg's name of the type of the samples, `rate` in Hz."""
        self._graph = Graph()
        self._graph.threads = 1
        source = self._graph.add(
            "abuffer",
            sample_rate=str(first.sample_rate),
            sample_fmt=first.format.name,
            channel_layout=first.layout.name,
        )
        form = self._graph.add("aformat", sample_rates=str(rate), sample_fmts=kind, channel_layouts=first.layout.name)
        self._graph.link_nodes(source, form, self._graph.add("abuffersink"))
        self._graph.configure()
        self._graph.set_audio_frame_size(rate)

    def resample(self, frame: av.AudioFrame | None) -> Iterator[av.AudioFrame]:
        """Yield the frames that are complete with `frame`; after None the rest."""
        self._graph.push(frame)
        while True:
            try:
                converted = self._graph.pull()
            except (EOFError, av.BlockingIOError):
                return
            assert isinstance(converted, av.AudioFrame)
            yield converted
