"""A data set comes back as it was written, and one that cannot be learned from is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from finetuning.dataset import Clip, Dataset
from finetuning.errors import FineTuningError

CLIP = Clip("file", "clips/file.wav", "Guten Morgen.", "minsu", "german", held_out=False)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    clips = [CLIP, replace(CLIP, id="b/2", held_out=True)]
    codes = {clip.id: np.arange(48, dtype=np.int16).reshape(3, 16) for clip in clips}
    return Dataset(tmp_path / "set", clips, codes, {"minsu": np.ones(4, np.float32)})


def test_dataset_is_read_as_written(dataset: Dataset) -> None:
    dataset.write()
    read = Dataset.read(dataset.folder)
    assert read.clips == dataset.clips
    assert read.frames(read.clips) == 6
    np.testing.assert_array_equal(read.codes["b/2"], dataset.codes["b/2"])
    np.testing.assert_array_equal(read.speakers["minsu"], dataset.speakers["minsu"])
    assert ([clip.id for clip in read.training], [clip.id for clip in read.held_out]) == (["file"], ["b/2"])
    assert read.hash() == dataset.hash() != replace(dataset, clips=[CLIP]).hash()
    assert sorted(path.name for path in dataset.folder.iterdir()) == ["clips.jsonl", "codes.npz", "speakers.npz"]


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        (replace(CLIP, id="c"), "clip c has no codes"),
        (replace(CLIP, text=" "), "clip file has no text"),
        (replace(CLIP, speaker="jiwoo"), "speaker 'jiwoo', who has no embedding"),
        (replace(CLIP, held_out=True), "no clip to train on"),
    ],
)
def test_dataset_names_the_clip_that_cannot_be_learned_from(dataset: Dataset, clip: Clip, message: str) -> None:
    with pytest.raises(FineTuningError, match=message):
        replace(dataset, clips=[clip]).write()
    assert not dataset.folder.exists()


def test_missing_file_of_a_dataset_is_named(dataset: Dataset) -> None:
    dataset.write()
    (dataset.folder / "codes.npz").unlink()
    with pytest.raises(FineTuningError, match=r"codes\.npz is missing"):
        Dataset.read(dataset.folder)
