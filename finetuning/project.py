"""A project: the folder that one voice's fine-tuning works in, and the options that it was begun with.

```
finetunes/NAME/
  options.json      the options; a later call's options replace them one by one
  clips.csv         a line a clip: proof-read the texts here, and delete lines that are not to be learned
  clips/            the clips as 24 kHz mono WAV, and what was found in each recording
  report.html/.json the report of `check`
  cache/            codes and embeddings by the content of the clip
  dataset/          what training reads (`finetuning.dataset`)
  run/              the training's states and history (`finetuning.training`)
  checkpoint/       the voice, a CustomVoice checkpoint
  training.html     the report of `train` and `evaluate`
```
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from finetuning.errors import FineTuningError
from tritone.catalogue import Catalogue
from tritone.whole_file import write_text

OPTIONS: Final = "options.json"


@dataclass(frozen=True)
class Options:
    """What the user chose; empty strings and None leave the choice to the step."""

    recordings: str = ""
    """A folder of recordings, one recording, or a CSV or JSONL file of clips; absolute."""
    language: str = ""
    """The recordings' language, by code or name; empty: detected."""
    speaker: str = ""
    """The voice's name; empty: the project's."""
    start: str = ""
    """The checkpoint to start from: a model's id or alias, or a folder."""
    keep_voices: bool = False
    """Start from the CustomVoice checkpoint of the start's size, so that its voices stay."""
    whisper: str = ""
    """The model that transcribes; empty: the best one in MODEL_DIR."""
    clip_seconds: int = 15
    """The longest clip that a recording is cut into."""
    epochs: int | None = None
    learning_rate: float | None = None
    batch_clips: int | None = None
    """Clips of an optimiser step."""
    method: str = ""
    seed: int = 0


@dataclass(frozen=True)
class Project:
    """A project's folder and options."""

    folder: Path
    options: Options
    model_dir: Path
    """The folder of all weights."""

    @classmethod
    def open(cls, folder: Path, model_dir: Path) -> Project:
        """Read a project; raises `FineTuningError` if there is none."""
        try:
            text = (folder / OPTIONS).read_text(encoding="utf-8")
        except FileNotFoundError:
            raise FineTuningError(
                f"there is no project in {folder}: begin with scripts/finetune {folder.name} RECORDINGS"
            ) from None
        known = {field.name for field in fields(Options)}
        try:
            options = Options(**{k: v for k, v in json.loads(text).items() if k in known})
        except (ValueError, AttributeError) as error:
            raise FineTuningError(
                f"{folder / OPTIONS} is damaged ({error}): remove it, and begin with all options again"
            ) from error
        return cls(folder, options, model_dir)

    @classmethod
    def begin(cls, folder: Path, model_dir: Path, given: Mapping[str, Any]) -> Project:
        """Make the project's folder, or open it, with the options in `given` in place of those that it has."""
        had = cls.open(folder, model_dir).options if (folder / OPTIONS).exists() else Options()
        project = cls(folder, replace(had, **given), model_dir)
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / OPTIONS, json.dumps(asdict(project.options), indent=2, ensure_ascii=False) + "\n")
        return project

    @property
    def name(self) -> str:
        """The project's name, which is the id of the served model."""
        return self.folder.name

    @property
    def speaker(self) -> str:
        """The name of the voice of recordings that name none, in lower case as checkpoints have it."""
        return (self.options.speaker or self.name).lower()

    @property
    def whisper_weights(self) -> str:
        """The folder of the model that transcribes, below MODEL_DIR."""
        model = Catalogue.load().models.get(self.options.whisper)
        return model.weights if model else self.options.whisper

    @property
    def table(self) -> Path:
        """The clips with their texts."""
        return self.folder / "clips.csv"

    @property
    def clips(self) -> Path:
        """The folder of the clips' audio."""
        return self.folder / "clips"

    @property
    def dataset(self) -> Path:
        """The folder of the data set."""
        return self.folder / "dataset"

    @property
    def run(self) -> Path:
        """The folder of the training."""
        return self.folder / "run"

    @property
    def checkpoint(self) -> Path:
        """The folder of the exported checkpoint."""
        return self.folder / "checkpoint"
