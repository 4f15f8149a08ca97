"""The package's own generation, for one window alone: what the engine must compute."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoTokenizer, Qwen2_5OmniThinkerForConditionalGeneration, WhisperFeatureExtractor
from transformers.models.qwen2_5_omni.configuration_qwen2_5_omni import Qwen2_5OmniThinkerConfig

from adapters.qwen2_5_omni.checkpoint import Config, Tensors
from adapters.qwen2_5_omni.prompt import SYSTEM, instruction
from tritone.contract import LISTEN_RATE, TranscriptionOptions


def sound(seconds: float, hertz: float) -> NDArray[np.float32]:
    """Return a tone that swells three times a second."""
    time = np.arange(int(LISTEN_RATE * seconds)) / LISTEN_RATE
    swell = 1 + 0.5 * np.sin(2 * np.pi * 3 * time)
    return (0.3 * np.sin(2 * np.pi * hertz * time) * swell).astype(np.float32)


@dataclass
class Judge:
    """The package's classes on one checkpoint."""

    model: Any
    tokenizer: Any
    extractor: Any

    @classmethod
    def load(cls, folder: Path) -> Judge:
        """Load the package's thinker; for AWQ, which the package cannot read, with the weights unpacked."""
        config = Config.read(folder)
        if config.group_size:
            import json

            thinker = json.loads((folder / "config.json").read_text())["thinker_config"]
            model = Qwen2_5OmniThinkerForConditionalGeneration(Qwen2_5OmniThinkerConfig(**thinker))
            tensors = Tensors(folder, torch.device("cpu"), config.group_size)
            missing, unexpected = model.load_state_dict(tensors.take_below("", torch.float32), strict=False)
            assert not unexpected
            assert all(name.startswith("visual.") for name in missing)
        else:
            model = Qwen2_5OmniThinkerForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        return cls(model.eval(), tokenizer, WhisperFeatureExtractor.from_pretrained(folder))

    def features(self, audio: NDArray[np.float32]) -> dict[str, torch.Tensor]:
        """Return the features and their mask as the package's processor makes them: padded to five minutes."""
        made = self.extractor(
            audio,
            sampling_rate=LISTEN_RATE,
            padding="max_length",
            truncation=False,
            return_attention_mask=True,
            return_tensors="pt",
        )
        return {"input_features": made["input_features"], "feature_attention_mask": made["attention_mask"]}

    def inputs(self, audio: NDArray[np.float32], options: TranscriptionOptions) -> dict[str, torch.Tensor]:
        """Return the inputs of the package's model for a window alone."""
        features = self.features(audio)
        frames = int(features["feature_attention_mask"].sum())
        placeholders = "<|AUDIO|>" * (((frames - 1) // 2 + 1 - 2) // 2 + 1)
        text = (
            f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n<|audio_bos|>{placeholders}<|audio_eos|>"
            f"{instruction(options)}<|im_end|>\n<|im_start|>assistant\n"
        )
        tokens = self.tokenizer(text, return_tensors="pt")
        return {"input_ids": tokens["input_ids"], "attention_mask": tokens["attention_mask"], **features}

    def tokens(
        self, audio: NDArray[np.float32], count: int, options: TranscriptionOptions | None = None, penalty: float = 1.0
    ) -> list[int]:
        """Return the most probable tokens of a window, the end token included, at most `count`."""
        inputs = self.inputs(audio, options or TranscriptionOptions())
        ends = [self.tokenizer.convert_tokens_to_ids(token) for token in ("<|im_end|>", "<|endoftext|>")]
        generated = self.model.generate(
            **inputs,
            max_new_tokens=count,
            do_sample=False,
            repetition_penalty=penalty,
            eos_token_id=ends,
            pad_token_id=ends[1],
        )
        found: list[int] = generated[0, inputs["input_ids"].shape[1] :].tolist()
        return found
