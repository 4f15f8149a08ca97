"""The weights of the backbone, laid out for the engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from adapters.zonos.checkpoint import CODEBOOKS, Config, Tensors
from adapters.zonos.conditioner import PrefixConditioner


@dataclass(frozen=True, eq=False)
class Norm:
    """A layer norm."""

    weight: Tensor
    bias: Tensor
    eps: float

    @classmethod
    def take(cls, tensors: Tensors, name: str, config: Config) -> Norm:
        """Take its tensors."""
        weight, bias = (tensors.take(f"{name}.{part}", config.hidden) for part in ("weight", "bias"))
        return cls(weight, bias, config.eps)

    def __call__(self, x: Tensor) -> Tensor:
        """Normalize `x` (..., hidden)."""
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


@dataclass(frozen=True, eq=False)
class Layer:
    """A decoder layer. Queries, keys and values are one matrix; so are the values and the gates of the MLP."""

    attention_norm: Norm
    inward: Tensor
    """((heads + 2 * key_value_heads) * head_dim, hidden); queries and keys are rotated by halves."""
    outward: Tensor
    """(hidden, heads * head_dim), its inputs by group, then by head."""
    mlp_norm: Norm
    up: Tensor
    """(2 * intermediate, hidden): values, gates."""
    down: Tensor

    @classmethod
    def take(cls, tensors: Tensors, name: str, config: Config) -> Layer:
        """Take its tensors, and reorder those of the attention."""
        heads, shared, dim = config.heads, config.key_value_heads, config.head_dim
        rows = heads + 2 * shared
        inward = tensors.take(f"{name}.mixer.in_proj.weight", rows * dim, config.hidden).view(rows, dim, -1)
        rotated = inward[: heads + shared]
        # The checkpoint rotates neighbours against each other: its pairs become halves, of queries and keys alike.
        halves = rotated.unflatten(1, (dim // 2, 2)).transpose(1, 2).flatten(1, 2)
        outward = tensors.take(f"{name}.mixer.out_proj.weight", config.hidden, heads * dim)
        return cls(
            attention_norm=Norm.take(tensors, f"{name}.norm", config),
            inward=torch.cat([halves, inward[heads + shared :]]).flatten(0, 1),
            outward=outward.unflatten(1, (shared, heads // shared, dim)).transpose(1, 2).flatten(1).contiguous(),
            mlp_norm=Norm.take(tensors, f"{name}.norm2", config),
            up=tensors.take(f"{name}.mlp.fc1.weight", 2 * config.intermediate, config.hidden),
            down=tensors.take(f"{name}.mlp.fc2.weight", config.hidden, config.intermediate),
        )

    def queries_keys_values(self, x: Tensor) -> Tensor:
        """Return (tokens, (heads + 2 * key_value_heads) * head_dim)."""
        return F.linear(self.attention_norm(x), self.inward)

    def attention_out(self, attended: Tensor) -> Tensor:
        """Return (tokens, hidden) from the attended values (tokens, heads * head_dim), by group, then by head."""
        return F.linear(attended, self.outward)

    def feed_forward(self, x: Tensor) -> Tensor:
        """Return (tokens, hidden)."""
        values, gates = F.linear(self.mlp_norm(x), self.up).chunk(2, -1)
        return F.linear(values * F.silu(gates), self.down)


@dataclass(frozen=True, eq=False)
class Weights:
    """The content of a checkpoint, on one device."""

    config: Config
    device: torch.device
    prefix: PrefixConditioner
    layers: Sequence[Layer]
    norm: Norm
    embedding: Tensor
    """(codebooks * codes, hidden): the codes of all codebooks, one codebook after the other."""
    head: Tensor
    """(codebooks * (end + 1), hidden): from the last hidden state to the next code of each codebook."""

    @classmethod
    def load(cls, folder: Path, device: torch.device, dtype: torch.dtype) -> Weights:
        """Load a published checkpoint; raises `UnreadableCheckpointError` if any weight is missing or unknown."""
        config = Config.read(folder)
        tensors = Tensors.load(folder / "model.safetensors", device, dtype)
        each = range(CODEBOOKS)
        weights = cls(
            config=config,
            device=device,
            prefix=PrefixConditioner(tensors, config),
            layers=[Layer.take(tensors, f"backbone.layers.{i}", config) for i in range(config.layers)],
            norm=Norm.take(tensors, "backbone.norm_f", config),
            embedding=torch.cat([tensors.take(f"embeddings.{i}.weight", config.mask + 1, config.hidden) for i in each]),
            head=torch.cat([tensors.take(f"heads.{i}.weight", config.end + 1, config.hidden) for i in each]),
        )
        tensors.check_all_taken()
        return weights

    def embed(self, columns: Tensor) -> Tensor:
        """Return the embedding (n, hidden) of columns of codes (n, codebooks), the sum of those of the codes."""
        firsts = torch.arange(CODEBOOKS, device=columns.device) * (self.config.mask + 1)
        embedded: Tensor = F.embedding(columns + firsts, self.embedding).sum(-2)
        return embedded

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the scores of the next codes (n, codebooks, end + 1) in float32, from hidden states (n, hidden)."""
        scores: Tensor = F.linear(self.norm(hidden), self.head).float().unflatten(-1, (CODEBOOKS, -1))
        return scores
