"""The checkpoint to start from: its config, its tokenizer and its talker, with a row for each new speaker."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn
from transformers.modeling_utils import no_init_weights

from adapters.qwen3_tts.inflight.model.tokenizer import TextTokenizer
from adapters.qwen3_tts.package import core
from finetuning.dataset import Clip, Dataset
from finetuning.errors import FineTuningError

FINE_TUNED = "finetuning.json"
"""A file in every checkpoint that this room writes."""
_SPARE_ROWS = 72
"""The published codec embedding has this many rows from 3000 on; of them, the nine voices use a few."""
_DIALECTS = {"beijing_dialect": 2074, "sichuan_dialect": 2062}
"""The published CustomVoice's ids of dialects, which Base's config leaves out. They follow the language `chinese`..."""
_CHINESE = 2055
"""...which has this id there; checkpoints with smaller codebooks keep the distance."""
_TALKER = "talker."


@dataclass(frozen=True, eq=False)
class Start:
    """A checkpoint's description, with the new speakers in its config."""

    folder: Path
    config: Mapping[str, Any]
    """The config.json of the checkpoint that training will write."""
    tokenizer: TextTokenizer
    speaker_rows: Mapping[str, int]
    """The row of the codec embedding of each speaker of the data set."""
    new_speakers: Sequence[str]
    """The speakers that the start does not know yet."""
    dialects: Mapping[str, str]
    """Speakers that speak a dialect, whose tag the server sends with Auto."""

    @classmethod
    def read(cls, folder: Path, dataset: Dataset) -> Start:
        """Read the config; raises `FineTuningError` for a checkpoint that cannot be trained with this data set."""
        config = _config(folder)
        talker = config["talker_config"]
        width = talker["hidden_size"]
        for name, embedding in dataset.speakers.items():
            if embedding.shape != (width,):
                raise FineTuningError(
                    f"the embedding of speaker {name!r} has the shape {embedding.shape}, the start needs ({width},): "
                    "encode the data set with the Base checkpoint of the start's size"
                )
        languages = dict(talker["codec_language_id"])
        for clip in dataset.clips:
            _add_language(languages, clip)
        known = {name.lower(): row for name, row in (talker.get("spk_id") or {}).items()}
        if (both := set(known) & set(dataset.speakers)) and not (folder / FINE_TUNED).exists():
            raise FineTuningError(f"the start has a voice {min(both)!r} of its own: choose another name")
        taken = {*known.values(), *languages.values(), *(id_ for id_ in talker.values() if isinstance(id_, int))}
        free = (row for row in range(talker["vocab_size"] - _SPARE_ROWS, talker["vocab_size"]) if row not in taken)
        rows, dialects = {}, {}
        for name in dataset.speakers:
            row = known.get(name, next(free, None) if name not in known else None)
            if row is None:
                raise FineTuningError(f"the start has no row left for speaker {name!r}: train fewer speakers")
            rows[name] = row
            spoken = {clip.language for clip in dataset.training if clip.speaker == name}
            if len(spoken) == 1 and (dialect := spoken.pop()).endswith("_dialect"):
                dialects[name] = dialect
        is_dialect = {**(talker.get("spk_is_dialect") or {}), **{name: dialects.get(name, False) for name in rows}}
        made = {
            **config,
            "tts_model_type": "custom_voice",
            "talker_config": {
                **talker,
                "codec_language_id": languages,
                "spk_id": {**(talker.get("spk_id") or {}), **rows},
                "spk_is_dialect": is_dialect,
            },
        }
        made.pop("speaker_encoder_config", None)
        new = [name for name in rows if name not in known]
        return cls(folder, made, TextTokenizer(folder), rows, new, dialects)

    @property
    def talker_config(self) -> Mapping[str, Any]:
        """The part of the config about the talker."""
        talker: Mapping[str, Any] = self.config["talker_config"]
        return talker

    def load(self, dataset: Dataset, device: torch.device, *, text_dtype: torch.dtype) -> Any:
        """Load the package's talker in float32, frozen, with a row for each speaker.

        `text_dtype`: the precision of the text embedding, which is never trained. Raises `FineTuningError`.
        """
        package = core.models.modeling_qwen3_tts
        config = core.models.Qwen3TTSConfig(**self.config).talker_config
        for part in (config, config.code_predictor_config):
            part._attn_implementation = "sdpa"
            part.use_cache = False
        with no_init_weights(), torch.device(device):
            talker = package.Qwen3TTSTalkerForConditionalGeneration(config)
        talker.model.text_embedding.to(text_dtype)
        self._fill(talker)
        with torch.no_grad():
            for row, embedding in self.new_rows(dataset).items():
                talker.model.codec_embedding.weight[row] = embedding.to(device)
        return talker.requires_grad_(False)

    def new_rows(self, dataset: Dataset) -> dict[int, Tensor]:
        """Return the embedding (hidden,) in float32 of each row that the start does not have yet."""
        return {self.speaker_rows[name]: torch.from_numpy(dataset.speakers[name]) for name in self.new_speakers}

    def _fill(self, talker: nn.Module) -> None:
        missing = dict(talker.named_parameters())
        with torch.no_grad():
            for path in weight_files(self.folder):
                with safe_open(path, "pt") as file:
                    for name in file.keys():  # noqa: SIM118 - it is no mapping
                        weight = missing.pop(name.removeprefix(_TALKER), None) if name.startswith(_TALKER) else None
                        if weight is not None:
                            weight.copy_(file.get_tensor(name))
        if missing:
            raise FineTuningError(f"{self.folder} has no tensor {_TALKER}{min(missing)}: fetch the checkpoint again")


def weight_files(folder: Path) -> list[Path]:
    """Return the files of a checkpoint's tensors."""
    return sorted(folder.glob("model*.safetensors"))


def freeze_rows(weight: Tensor, rows: Sequence[int]) -> None:
    """Keep rows of an embedding as they are: their gradient becomes zero."""
    fixed = torch.tensor(rows, device=weight.device)
    weight.register_hook(lambda gradient: gradient.index_fill(0, fixed, 0.0))


def _config(folder: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kind, _ = config["tts_model_type"], config["talker_config"]["codec_language_id"]
    except (OSError, ValueError, KeyError, TypeError):
        raise FineTuningError(f"{folder} is not a Qwen3-TTS checkpoint: give the folder of a Base one") from None
    if kind not in ("base", "custom_voice"):
        raise FineTuningError(f"{folder} is a {kind} checkpoint: start from Base or CustomVoice")
    if not weight_files(folder):
        raise FineTuningError(f"{folder} has no model.safetensors: fetch the checkpoint again")
    return config


def _add_language(languages: dict[str, int], clip: Clip) -> None:
    if clip.language == "auto" or clip.language in languages:
        return
    if clip.language not in _DIALECTS:
        choice = ", ".join(sorted(languages))
        raise FineTuningError(f"clip {clip.id}: language {clip.language!r} is unknown; choose auto or one of: {choice}")
    languages[clip.language] = _DIALECTS[clip.language] - _CHINESE + languages["chinese"]
