"""The published package's own sampling of a checkpoint, one request at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from adapters.f5_tts.package import CFM, DiT, ISTFTHead, VocosBackbone, convert_char_to_pinyin
from adapters.f5_tts.spectrogram import HOP, mel_spectrogram

WORDS = "Some call me nature. "


class Judge:
    """`CFM.sample` and Vocos, with the arguments that the package's own inference gives them."""

    def __init__(self, folder: Path) -> None:
        arch = yaml.safe_load((folder / "config.yaml").read_text())["model"]["arch"]
        vocabulary = {token: index for index, token in enumerate((folder / "vocab.txt").read_text().split("\n")[:-1])}
        self.model = CFM(
            transformer=DiT(**arch, text_num_embeds=len(vocabulary), mel_dim=100),
            mel_spec_kwargs=dict(mel_spec_type="vocos", target_sample_rate=24_000),
            vocab_char_map=vocabulary,
        ).eval()
        state = {
            name.removeprefix("ema_model."): each for name, each in load_file(folder / "model.safetensors").items()
        }
        self.model.load_state_dict({name: each for name, each in state.items() if name not in ("initted", "step")})
        place = folder.parent / "vocos-mel-24khz"
        config = yaml.safe_load((place / "config.yaml").read_text())
        self.backbone = VocosBackbone(**config["backbone"]["init_args"]).eval()
        self.head = ISTFTHead(**config["head"]["init_args"]).eval()
        vocos = torch.load(place / "pytorch_model.bin", weights_only=True)
        for name, part in (("backbone.", self.backbone), ("head.", self.head)):
            part.load_state_dict({k.removeprefix(name): v for k, v in vocos.items() if k.startswith(name)})

    def mel(
        self,
        samples: NDArray[np.float32],
        words: str,
        text: str,
        *,
        steps: int,
        guidance: float,
        seed: int,
        speed: float,
    ) -> Tensor:
        """Return the spectrogram (frames, 100) that the package makes of a text, without the reference."""
        frames = len(samples) // HOP
        local_speed = 0.3 if len(text.encode()) < 10 else speed
        duration = frames + int(frames / len(words.encode()) * len(text.encode()) / local_speed)
        with torch.inference_mode():
            mels, _ = self.model.sample(
                cond=mel_spectrogram(samples)[None],
                text=convert_char_to_pinyin([words + text]),
                duration=duration,
                steps=steps,
                cfg_strength=guidance,
                sway_sampling_coef=-1.0,
                seed=seed,
            )
        return torch.as_tensor(mels[0, frames:])

    def speech(self, samples: NDArray[np.float32], words: str, text: str, **sampling: float) -> NDArray[np.float32]:
        """Return the samples of a text in the voice of a recording, with the package's handling of loudness."""
        rms = float(np.sqrt(np.mean(samples**2)))
        raised = samples * np.float32(0.1 / rms) if rms < 0.1 else samples
        mel = self.mel(raised, words, text, **sampling)  # type: ignore[arg-type]
        with torch.inference_mode():
            wave = self.head(self.backbone(mel.T[None]))[0].numpy()
        return wave * np.float32(rms / 0.1) if rms < 0.1 else wave


def recording(seconds: float, hertz: float = 180.0, level: float = 0.2) -> NDArray[np.float32]:
    """Return a tone with overtones."""
    time = np.arange(round(seconds * 24_000)) / 24_000
    wave = sum(np.sin(2 * np.pi * hertz * n * time) / n for n in range(1, 6))
    return (level * wave * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time))).astype(np.float32)
