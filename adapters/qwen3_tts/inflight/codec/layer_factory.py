"""Conversion of the package's codec decoder. Adjacent linear operations are multiplied once, in float64.

In 16 bits a GPU decodes in float16, whatever the talker's precision: it has three more bits than bfloat16 at the same
cost, and the values here are small. For random weights of the published shapes, at the level of speech, the
signal-to-noise ratio against float64 is 18 dB in bfloat16, 32 in float16, 37 in TF32, which costs twice as much, and 90
in float32.
"""

from __future__ import annotations

from typing import Any

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


def working_dtype(device: torch.device, dtype: torch.dtype) -> torch.dtype:
    """Return the codec's precision for an engine that computes in `dtype`."""
    return torch.float16 if device.type == "cuda" and dtype.itemsize == 2 else torch.float32


class LayerFactory:
    """Converts the modules of one `Qwen3TTSTokenizerV2Decoder` to layers, in order.

    The layers keep their state by `layout`. From the head on, a bias either goes through snakes alone, or another bias
    is added to it. The fused snakes add a shift at no cost. So with them no bias is added before a snake: the shift is
    the sum of all biases since the last expansion.
    """

    def __init__(self, decoder: Any, dtype: torch.dtype, *, fused: bool) -> None:
        """The layers compute in `dtype`, with fused kernels if `fused`."""
        self.layout = Layout()
        self._decoder = decoder
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
        quantizer = self._decoder.quantizer
        return self._ready(torch.cat([*_books(quantizer.rvq_first), *_books(quantizer.rvq_rest)]))

    def entry(self) -> CausalConv:
        """Convert the first convolution, joined with the transformer's input projection."""
        conv, projection = self._decoder.pre_conv.conv, self._decoder.pre_transformer.input_proj
        matrix = projection.weight.double()
        weight = torch.einsum("oc,cik->oik", matrix, conv.weight.double())
        return self._conv(weight, matrix @ conv.bias.double() + projection.bias.double())

    def transformer(self) -> Transformer:
        """Convert the transformer, without its projections and its last norm's weight."""
        module = self._decoder.pre_transformer
        rotary = module.rotary_emb
        if rotary.rope_type != "default":
            raise ValueError(f"the codec's rope is of type {rotary.rope_type}, not default")
        rotation = rotary.inv_freq.float()
        return Transformer(
            layers=tuple(self._transformer_layer(layer) for layer in module.layers),
            rotation=torch.cat([-rotation, rotation]),
            window=module.window_size,
        )

    def expansions(self) -> list[tuple[Linear, int, ConvNeXt]]:
        """Convert the layers that multiply the frames: expansion, rate and block.

        The first expansion includes the transformer's output projection.
        """
        pre = self._decoder.pre_transformer
        stages = []
        for index, (expand, block) in enumerate(self._decoder.upsample):
            weight, bias, rate = _transposed(expand)
            bias = bias.repeat(rate)
            weight = weight[:, :, 0]  # as many taps as samples: nothing overlaps here
            if index == 0:
                bias = bias + weight @ pre.output_proj.bias.double()
                weight = weight @ pre.output_proj.weight.double() * pre.norm.weight.double()
            stages.append((self._linear(weight, bias), rate, self._convnext(block)))
        return stages

    def head(self) -> CausalConv:
        """Convert the convolution before the decoder's blocks."""
        conv = self._decoder.decoder[0].conv
        return self._conv(conv.weight, self._late(conv.bias))

    def blocks(self) -> list[DecoderBlock]:
        """Convert the decoder's blocks."""
        return [self._block(*block.block) for block in self._decoder.decoder[1:-2]]

    def tail(self) -> CausalConv:
        """Convert the convolution from the last block's channels to samples."""
        before, last = self._decoder.decoder[-2:]
        return self._conv(last.conv.weight, last.conv.bias, activation=self._snake(before, self._shift))

    def _transformer_layer(self, layer: Any) -> TransformerLayer:
        attention, mlp = layer.self_attn, layer.mlp
        config = attention.config
        before_attention, before_mlp = (
            layer.input_layernorm.weight.double(),
            layer.post_attention_layernorm.weight.double(),
        )
        qkv = torch.cat([attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight]).double()
        gate_up = torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight]).double()
        kept = 2 * config.num_key_value_heads * attention.head_dim
        return TransformerLayer(
            qkv=self._linear(qkv * before_attention),
            out=self._linear(layer.self_attn_layer_scale.scale.double()[:, None] * attention.o_proj.weight.double()),
            gate_up=self._linear(gate_up * before_mlp),
            down=self._linear(layer.mlp_layer_scale.scale.double()[:, None] * mlp.down_proj.weight.double()),
            heads=config.num_attention_heads,
            key_value_heads=config.num_key_value_heads,
            head_dim=attention.head_dim,
            eps=layer.input_layernorm.variance_epsilon,
            part=self.layout.reserve(attention.sliding_window - 1, kept),
        )

    def _convnext(self, block: Any) -> ConvNeXt:
        conv = block.dwconv.conv
        widen, gamma = block.pwconv1.weight.double(), block.gamma.double()
        return ConvNeXt(
            depthwise=self._depthwise_type(
                weight=self._ready(conv.weight[:, 0].t()),
                bias=self._ready(conv.bias),
                part=self.layout.reserve(conv.weight.shape[-1] - 1, len(conv.weight)),
                eps=block.norm.eps,
            ),
            widen=self._linear(
                widen * block.norm.weight.double(), block.pwconv1.bias.double() + widen @ block.norm.bias.double()
            ),
            narrow=self._linear(gamma[:, None] * block.pwconv2.weight.double(), gamma * block.pwconv2.bias.double()),
        )

    def _block(self, before: Any, expand: Any, *units: Any) -> DecoderBlock:
        weight, bias, rate = _transposed(expand)
        snake, self._shift = self._snake(before, self._shift), None
        late = self._late(bias)
        return DecoderBlock(
            expand=self._conv(weight, None if late is None else late.repeat(rate), activation=snake),
            rate=rate,
            units=tuple(self._unit(unit.act1, unit.conv1.conv, unit.act2, unit.conv2.conv) for unit in units),
        )

    def _unit(self, before: Any, wide: Any, between: Any, narrow: Any) -> ResidualUnit:
        return ResidualUnit(
            wide=self._conv(
                wide.weight,
                None if self._fused else wide.bias,
                dilation=wide.dilation[0],
                activation=self._snake(before, self._shift),
            ),
            between=self._snake(between, wide.bias if self._fused else None),
            narrow=self._linear(narrow.weight[:, :, 0], self._late(narrow.bias)),
        )

    def _late(self, bias: Tensor) -> Tensor | None:
        """Return a bias to add at once; None if it is in the shift of the next snakes."""
        if not self._fused:
            return bias
        self._shift = bias.double() if self._shift is None else self._shift + bias.double()
        return None

    def _snake(self, module: Any, shift: Tensor | None) -> SnakeBeta:
        frequency, magnitude = module.alpha.double().exp(), 1 / (module.beta.double().exp() + module.no_div_by_zero)
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

    def _ready(self, tensor: Tensor) -> Tensor:
        return tensor.detach().to(self._dtype).contiguous()


def _books(quantizer: Any) -> list[Tensor]:
    """Return the codebooks of a residual quantizer, (entries, channels) each, in float64."""
    projection = quantizer.output_proj.weight.double()[:, :, 0]
    books = []
    for layer in quantizer.vq.layers:
        book = layer._codebook
        entries = book.embedding_sum.double() / book.cluster_usage.double().clamp(min=book.epsilon)[:, None]
        books.append(entries @ projection.T)
    return books


def _transposed(module: Any) -> tuple[Tensor, Tensor, int]:
    """Convert a transposed convolution to one that makes all samples between two inputs at once, as channels.

    Returns its weight (rate * out, in, taps) and bias (out,) in float64, and the rate.
    """
    weight, bias, rate = module.conv.weight.double(), module.conv.bias.double(), module.conv.stride[0]
    inputs, outputs, kernel = weight.shape
    taps = weight.view(inputs, outputs, kernel // rate, rate).flip(2)  # the last tap is for the current input
    return taps.permute(3, 1, 0, 2).reshape(rate * outputs, inputs, kernel // rate), bias, rate
