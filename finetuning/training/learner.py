"""The weights that a method trains, and their optimiser."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from finetuning.dataset import Dataset
from finetuning.errors import FineTuningError
from finetuning.plan import TrainingPlan
from finetuning.training.start import Start, freeze_rows

_ADAPTED = r"(code_predictor\.)?model\.layers\.\d+\.(self_attn\.[qkvo]_proj|mlp\.(gate|up|down)_proj)"
"""The matrices of the talker and the code predictor that get adapters."""
_ADAPTER = "default"
_TEXT_EMBEDDING = "model.text_embedding.weight"
_BETAS = (0.9, 0.95)


@dataclass(frozen=True, eq=False)
class Learner:
    """A talker in training."""

    talker: Any
    """The package's talker."""
    trained: Mapping[str, torch.nn.Parameter]
    """The trained parameters by name, float32."""
    optimiser: torch.optim.Optimizer
    plan: TrainingPlan

    @classmethod
    def make(cls, plan: TrainingPlan, dataset: Dataset, start: Start, device: torch.device) -> Learner:
        """Load the start and prepare it for the plan's method."""
        low = torch.bfloat16 if plan.precision == "bf16" else torch.float32
        talker = start.load(dataset, device, text_dtype=low)
        if plan.method == "lora":
            _add_adapters(talker, plan, low)
        else:
            talker.requires_grad_(True)
            talker.model.text_embedding.requires_grad_(False)
            freeze_rows(talker.model.codec_embedding.weight, list(start.speaker_rows.values()))
        if plan.checkpointing:
            talker.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        talker.train()
        trained = {name: weight for name, weight in talker.named_parameters() if weight.requires_grad}
        return cls(talker, trained, _optimiser(plan, trained, device), plan)

    def update(self, rate: float) -> None:
        """Apply the gradients at a learning rate, and clear them; raises `FineTuningError` if one is not a number."""
        norm = torch.nn.utils.clip_grad_norm_(self.trained.values(), self.plan.gradient_norm)
        if not norm.isfinite():  # the weights would never be numbers again
            raise FineTuningError(
                f"the training diverged at a rate of {rate:g}: train anew with a lower --lr, and --again"
            )
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)

    @contextmanager
    def off_device(self) -> Iterator[None]:
        """Keep the talker in the host's memory meanwhile, if it is on a GPU."""
        device = next(iter(self.trained.values())).device
        self.talker.to("cpu")
        if device.type == "cuda":
            torch.cuda.empty_cache()
        try:
            yield
        finally:
            self.talker.to(device)

    def state(self) -> dict[str, Any]:
        """Return all that a resumption needs beside the step."""
        return {
            "weights": {name: weight.detach() for name, weight in self.trained.items()},
            "optimiser": self.optimiser.state_dict(),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a state of the same plan."""
        with torch.no_grad():
            for name, weight in self.trained.items():
                weight.copy_(state["weights"][name])
        self.optimiser.load_state_dict(state["optimiser"])

    def new_weights(self) -> Mapping[str, Tensor]:
        """Return the values of the trained weights, by the checkpoint's names without `talker.`; empty with LoRA."""
        return {} if self.plan.method == "lora" else {name: weight.detach() for name, weight in self.trained.items()}

    def changes(self) -> Mapping[str, Tensor]:
        """Return what adapters add to the start's weights, float32, by the same names; empty without LoRA."""
        if self.plan.method != "lora":
            return {}
        return {f"{name}.weight": layer.get_delta_weight(_ADAPTER).float() for name, layer in _adapted(self.talker)}


def learning_rate(plan: TrainingPlan, step: int, steps: int) -> float:
    """Return the rate of a step (from 0): a linear rise, then half a cosine down to the final share."""
    warmup = max(1, math.ceil(plan.warmup_share * steps))
    if step < warmup:
        return plan.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    low = plan.final_rate_share
    return plan.learning_rate * (low + (1 - low) * (1 + math.cos(math.pi * done)) / 2)


def _add_adapters(talker: Any, plan: TrainingPlan, low: torch.dtype) -> None:
    from peft import LoraConfig, inject_adapter_in_model  # noqa: PLC0415 - it takes seconds, and only LoRA needs it

    talker.to(low)
    config = LoraConfig(r=plan.lora_rank, lora_alpha=plan.lora_alpha, lora_dropout=0.0, target_modules=_ADAPTED)
    torch.manual_seed(plan.seed)  # the adapters' first values are drawn
    inject_adapter_in_model(config, talker, adapter_name=_ADAPTER)
    for name, weight in talker.named_parameters():
        weight.requires_grad_("lora_" in name)
        if weight.requires_grad:
            weight.data = weight.data.float()


def _adapted(talker: Any) -> Iterator[tuple[str, Any]]:
    return ((name, module) for name, module in talker.named_modules() if hasattr(module, "get_delta_weight"))


def _optimiser(
    plan: TrainingPlan, trained: Mapping[str, torch.nn.Parameter], device: torch.device
) -> torch.optim.Optimizer:
    decays = [weight for name, weight in trained.items() if weight.dim() > 1 and "embedding" not in name]
    others = [weight for name, weight in trained.items() if weight.dim() <= 1 or "embedding" in name]
    groups = [{"params": decays, "weight_decay": plan.weight_decay}, {"params": others, "weight_decay": 0.0}]
    groups = [group for group in groups if group["params"]]
    if plan.method == "full-8bit":
        import bitsandbytes  # noqa: PLC0415 - it loads CUDA libraries

        optim: Any = bitsandbytes.optim  # without types
        made: torch.optim.Optimizer = optim.AdamW8bit(groups, lr=plan.learning_rate, betas=_BETAS)
        return made
    return torch.optim.AdamW(groups, lr=plan.learning_rate, betas=_BETAS, fused=device.type == "cuda")
