"""Conversion of the published codec decoder. Adjacent linear operations are multiplied once, in float64.

In 16 bits a GPU decodes in float16, whatever the talker's precision: it has three more bits than bfloat16 at the same
cost, and the values here are small. For random weights of the published shapes, at the level of speech, the
signal-to-noise ratio against float64 is 18 dB in bfloat16, 32 in float16, 37 in TF32, which costs twice as much, and 90
in float32.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from adapters.qwen3_tts.inflight.codec.layers import (
    CausalConv,
    ConvNeXt,
    DecoderBlock,
    Linear,
    NormedDepthwise,
    ResidualUnit,
    SnakeBeta,
    Transformer,
    TransformerLayer,
)
from adapters.qwen3_tts.inflight.codec.state import Layout, Past
from adapters.qwen3_tts.inflight.codec.weights import CodecWeights
from adapters.qwen3_tts.inflight.model.weights import check_decoder

_DILATIONS: Final = (1, 3, 9)
"""The residual units of a block."""
_BOOK_EPS: Final = 1e-5
"""The least use of a code that the package divides by."""
_SNAKE_EPS: Final = 1e-9
_CONVNEXT_EPS: Final = 1e-6


def working_dtype(device: torch.device, dtype: torch.dtype) -> torch.dtype:
    """Return the codec's precision for an engine that computes in `dtype`."""
    return torch.float16 if device.type == "cuda" and dtype.itemsize == 2 else torch.float32


class LayerFactory:
    """Converts the weights of one decoder to layers, in order. The numbers above are constants of the package.

    The layers keep their state by `layout`. From the head on, a bias either goes through snakes alone, or another bias
    is added to it. The fused snakes add a shift at no cost. So with them no bias is added before a snake: the shift is
    the sum of all biases since the last expansion.
    """

    def __init__(self, weights: CodecWeights, dtype: torch.dtype, *, fused: bool) -> None:
        """The layers compute in `dtype`, with fused kernels if `fused`. Raises `UnreadableCheckpointError`."""
        check_decoder(weights.config)
        self.layout = Layout()
        self._weights = weights
        self._dtype = dtype
        self._fused = fused
        self._shift: Tensor | None = None
        self.past: type[Past] = Past
        """The class that keeps the state of these layers."""
        self._snake_type, self._depthwise_type = SnakeBeta, NormedDepthwise
        if fused:
            from adapters.qwen3_tts.inflight.codec import kernels  # noqa: PLC0415 - needs the Triton language

            self.past = kernels.FusedPast
            self._snake_type, self._depthwise_type = kernels.FusedSnakeBeta, kernels.FusedNormedDepthwise

    def codebooks(self) -> Tensor:
        """Return (16 * entries, channels): every entry of every codebook after the quantizer's projection."""
        rest = self._weights.setting("num_quantizers") - 1
        return self._ready(torch.cat([*self._books("rvq_first", 1), *self._books("rvq_rest", rest)]))

    def entry(self) -> CausalConv:
        """Convert the first convolution, joined with the transformer's input projection."""
        conv_weight, conv_bias = self._weights.linear("pre_conv.conv")
        weight, bias = self._weights.linear("pre_transformer.input_proj")
        matrix = weight.double()
        joined = torch.einsum("oc,cik->oik", matrix, conv_weight.double())
        return self._conv(joined, matrix @ conv_bias.double() + bias.double())

    def transformer(self) -> Transformer:
        """Convert the transformer, without its projections and its last norm's weight."""
        setting = self._weights.setting
        head_dim = self._weights.config.get("head_dim") or setting("hidden_size") // setting("num_attention_heads")
        layers = range(setting("num_hidden_layers"))
        exponents = torch.arange(0, head_dim, 2, device=self._weights.device).float() / head_dim
        rotation = 1.0 / setting("rope_theta") ** exponents
        return Transformer(
            layers=tuple(self._transformer_layer(f"pre_transformer.layers.{i}", head_dim) for i in layers),
            rotation=torch.cat([-rotation, rotation]),
            window=setting("sliding_window"),
        )

    def expansions(self) -> list[tuple[Linear, int, ConvNeXt]]:
        """Convert the layers that multiply the frames: expansion, rate and block.

        The first expansion includes the transformer's output projection.
        """
        stages = []
        for index, rate in enumerate(self._weights.setting("upsampling_ratios")):
            weight, bias = self._transposed(f"upsample.{index}.0", rate)
            bias = bias.repeat(rate)
            weight = weight[:, :, 0]  # as many taps as samples: nothing overlaps here
            if index == 0:
                out_weight, out_bias = self._weights.linear("pre_transformer.output_proj")
                norm = self._weights.tensor("pre_transformer.norm.weight")
                bias = bias + weight @ out_bias.double()
                weight = weight @ out_weight.double() * norm.double()
            stages.append((self._linear(weight, bias), rate, self._convnext(f"upsample.{index}.1")))
        return stages

    def head(self) -> CausalConv:
        """Convert the convolution before the decoder's blocks."""
        weight, bias = self._weights.linear("decoder.0.conv")
        return self._conv(weight, self._late(bias))

    def blocks(self) -> list[DecoderBlock]:
        """Convert the decoder's blocks."""
        rates = self._weights.setting("upsample_rates")
        return [self._block(f"decoder.{1 + i}.block", rate) for i, rate in enumerate(rates)]

    def tail(self) -> CausalConv:
        """Convert the convolution from the last block's channels to samples."""
        last = 1 + len(self._weights.setting("upsample_rates"))
        weight, bias = self._weights.linear(f"decoder.{last + 1}.conv")
        return self._conv(weight, bias, activation=self._snake(f"decoder.{last}", self._shift))

    def _books(self, quantizer: str, count: int) -> list[Tensor]:
        """Return the codebooks of a residual quantizer, (entries, channels) each, in float64."""
        projection = self._weights.tensor(f"quantizer.{quantizer}.output_proj.weight").double()[:, :, 0]
        books = []
        for i in range(count):
            sums, usage = (
                self._weights.tensor(f"quantizer.{quantizer}.vq.layers.{i}._codebook.{part}").double()
                for part in ("embedding_sum", "cluster_usage")
            )
            books.append(sums / usage.clamp(min=_BOOK_EPS)[:, None] @ projection.T)
        return books

    def _transformer_layer(self, prefix: str, head_dim: int) -> TransformerLayer:
        def take(*names: str) -> Tensor:
            return torch.cat([self._weights.tensor(f"{prefix}.{name}").double() for name in names])

        heads, key_value_heads = (
            self._weights.setting(name) for name in ("num_attention_heads", "num_key_value_heads")
        )
        qkv = take("self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight")
        gate_up = take("mlp.gate_proj.weight", "mlp.up_proj.weight")
        return TransformerLayer(
            qkv=self._linear(qkv * take("input_layernorm.weight")),
            out=self._linear(take("self_attn_layer_scale.scale")[:, None] * take("self_attn.o_proj.weight")),
            gate_up=self._linear(gate_up * take("post_attention_layernorm.weight")),
            down=self._linear(take("mlp_layer_scale.scale")[:, None] * take("mlp.down_proj.weight")),
            heads=heads,
            key_value_heads=key_value_heads,
            head_dim=head_dim,
            eps=self._weights.setting("rms_norm_eps"),
            part=self.layout.reserve(self._weights.setting("sliding_window") - 1, 2 * key_value_heads * head_dim),
        )

    def _convnext(self, prefix: str) -> ConvNeXt:
        conv_weight, conv_bias = self._weights.linear(f"{prefix}.dwconv.conv")
        norm_weight, norm_bias = (tensor.double() for tensor in self._weights.linear(f"{prefix}.norm"))
        widen, widen_bias = (tensor.double() for tensor in self._weights.linear(f"{prefix}.pwconv1"))
        narrow, narrow_bias = (tensor.double() for tensor in self._weights.linear(f"{prefix}.pwconv2"))
        gamma = self._weights.tensor(f"{prefix}.gamma").double()
        return ConvNeXt(
            depthwise=self._depthwise_type(
                weight=self._ready(conv_weight[:, 0].t()),
                bias=self._ready(conv_bias),
                part=self.layout.reserve(conv_weight.shape[-1] - 1, len(conv_weight)),
                eps=_CONVNEXT_EPS,
            ),
            widen=self._linear(widen * norm_weight, widen_bias + widen @ norm_bias),
            narrow=self._linear(gamma[:, None] * narrow, gamma * narrow_bias),
        )

    def _block(self, prefix: str, rate: int) -> DecoderBlock:
        weight, bias = self._transposed(f"{prefix}.1", rate)
        snake, self._shift = self._snake(f"{prefix}.0", self._shift), None
        late = self._late(bias)
        return DecoderBlock(
            expand=self._conv(weight, None if late is None else late.repeat(rate), activation=snake),
            rate=rate,
            units=tuple(self._unit(f"{prefix}.{2 + i}", dilation) for i, dilation in enumerate(_DILATIONS)),
        )

    def _unit(self, prefix: str, dilation: int) -> ResidualUnit:
        wide, wide_bias = self._weights.linear(f"{prefix}.conv1.conv")
        narrow, narrow_bias = self._weights.linear(f"{prefix}.conv2.conv")
        return ResidualUnit(
            wide=self._conv(
                wide,
                None if self._fused else wide_bias,
                dilation=dilation,
                activation=self._snake(f"{prefix}.act1", self._shift),
            ),
            between=self._snake(f"{prefix}.act2", wide_bias if self._fused else None),
            narrow=self._linear(narrow[:, :, 0], self._late(narrow_bias)),
        )

    def _late(self, bias: Tensor) -> Tensor | None:
        """Return a bias to add at once; None if it is in the shift of the next snakes."""
        if not self._fused:
            return bias
        self._shift = bias.double() if self._shift is None else self._shift + bias.double()
        return None

    def _snake(self, prefix: str, shift: Tensor | None) -> SnakeBeta:
        frequency, width = (self._weights.tensor(f"{prefix}.{part}").double().exp() for part in ("alpha", "beta"))
        magnitude = 1 / (width + _SNAKE_EPS)
        dtype = torch.promote_types(self._dtype, torch.float32)
        numbers = (frequency, magnitude) if shift is None else (frequency, magnitude, shift)
        return self._snake_type(*(number.detach().to(dtype) for number in numbers))

    def _conv(
        self, weight: Tensor, bias: Tensor | None, *, dilation: int = 1, activation: SnakeBeta | None = None
    ) -> CausalConv:
        _, inputs, taps = weight.shape
        return CausalConv(
            weight=self._ready(weight.unsqueeze(2)).contiguous(memory_format=torch.channels_last),
            bias=None if bias is None else self._ready(bias),
            part=self.layout.reserve((taps - 1) * dilation, inputs),
            dilation=dilation,
            activation=activation,
        )

    def _linear(self, weight: Tensor, bias: Tensor | None = None) -> Linear:
        return Linear(self._ready(weight), None if bias is None else self._ready(bias))

    def _transposed(self, prefix: str, rate: int) -> tuple[Tensor, Tensor]:
        """Convert a transposed convolution to one that makes all samples between two inputs at once, as channels.

        Returns its weight (rate * out, in, taps) and bias (out,) in float64.
        """
        weight, bias = (tensor.double() for tensor in self._weights.linear(f"{prefix}.conv"))
        inputs, outputs, kernel = weight.shape
        taps = weight.view(inputs, outputs, kernel // rate, rate).flip(2)  # the last tap is for the current input
        return taps.permute(3, 1, 0, 2).reshape(rate * outputs, inputs, kernel // rate), bias

    def _ready(self, tensor: Tensor) -> Tensor:
        return tensor.detach().to(self._dtype).contiguous()
