"""A small vision encoder that learns to read on a CPU: convolutions, then a few attention layers.

The published encoder is a 27-layer ViT; from scratch on a laptop such a design learns slowly. This
one sees strokes through strided convolutions (stride 4), folds each 28x28-pixel cell into one
vector, and lets the cells of a crop look at one another. It may end by spelling (see
`leopard.model.spelling`), so that what it is sure of comes out as clean as print. It stands where
SigLIP stands: same input, `last_hidden_state` out. Knows nothing of prompts or language models.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from leopard.model.reader_config import STRIDE, LeopardReaderConfig
from leopard.model.spelling import Spelling
from leopard.model.tiling import Grids


class ConvBlock(nn.Module):
    """Residual 3x3 convolution with batch norm, channels kept."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (crops, channels, height, width) to the same shape."""
        return x + self.out(torch.relu(self.norm(self.conv(x))))  # type: ignore[no-any-return]


class CellLayer(nn.Module):
    """Pre-norm attention over the cells of one crop, then an MLP."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm1 = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.norm2 = nn.LayerNorm(dim)
        self.up = nn.Linear(dim, 2 * dim)
        self.down = nn.Linear(2 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Features (crops, cells, dim) to the same shape."""
        crops, cells, dim = x.shape
        qkv = self.qkv(self.norm1(x)).view(crops, cells, 3, self.num_heads, dim // self.num_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (crops, heads, cells, head_dim)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        x = x + self.proj(mixed.transpose(1, 2).reshape(crops, cells, dim))
        return x + self.down(nn.functional.gelu(self.up(self.norm2(x))))  # type: ignore[no-any-return]


class LeopardReader(PreTrainedModel):
    """Crops to one feature vector per cell, row-major."""

    config_class = LeopardReaderConfig
    main_input_name = "pixel_values"
    input_modalities = ("image",)
    _supports_sdpa = True
    _supports_attention_backend = True
    _no_split_modules = ["CellLayer"]  # noqa: RUF012 - transformers reads a list

    def __init__(self, config: LeopardReaderConfig) -> None:
        super().__init__(config)
        channels, cell = config.conv_channels, config.patch_size // STRIDE
        width = config.cell_size
        side = config.image_size // config.patch_size
        self.stem = nn.Conv2d(3, channels, 8, stride=STRIDE, padding=2)
        self.stem_norm = nn.BatchNorm2d(channels)
        self.blocks = nn.ModuleList(ConvBlock(channels) for _ in range(config.num_conv_blocks))
        self.fold = nn.Conv2d(channels, width, cell, stride=cell)
        self.position_embedding = nn.Parameter(torch.zeros(1, side * side, width))
        self.layers = nn.ModuleList(
            CellLayer(width, config.num_attention_heads) for _ in range(config.num_hidden_layers)
        )
        self.post_layernorm = nn.LayerNorm(width)
        self.spelling: Spelling | None = Spelling(config) if config.lines_per_cell else None
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, Spelling):
            nn.init.normal_(module.codes, std=module.codes.shape[1] ** -0.5)
            nn.init.normal_(module.transcriber.told.weight, std=0.3)
        elif isinstance(module, LeopardReader):
            nn.init.trunc_normal_(module.position_embedding, std=0.02)

    def forward(
        self,
        pixel_values: Tensor,
        grids: Grids | None = None,
        chunk: int | None = None,
        **_: Any,
    ) -> BaseModelOutput:
        """Read crops.

        Args:
            pixel_values: Normalised crops, (crops, 3, image_size, image_size).
            grids: (rows, columns) of tiles of each image, which come after its thumbnail; (0, 0)
                where that is all. Without them each crop stands for itself.
            chunk: Most crops that are looked at at once; all by default.

        Returns:
            `last_hidden_state` (crops, cells, hidden_size), cells row-major.
        """
        parts = [self._read(part) for part in pixel_values.split(chunk or len(pixel_values))]
        read = [torch.cat(part) for part in zip(*parts, strict=True)]
        hidden = read[0] if self.spelling is None else self.spelling(*read, grids)
        return BaseModelOutput(last_hidden_state=hidden)

    def _read(self, pixel_values: Tensor) -> tuple[Tensor, ...]:
        """Crops to features, or to what `Spelling` takes."""
        hidden, conv_map = self.look(pixel_values)
        if self.spelling is None:
            return (hidden,)
        return self.spelling.read(hidden, conv_map)

    def look(self, pixel_values: Tensor) -> tuple[Tensor, Tensor]:
        """Crops as `forward` gets them to what reading lessons supervise.

        Returns:
            The cells before spelling, (crops, cells, cell_size), and the convolutional map,
            (crops, channels, side / 4, side / 4).
        """
        x = pixel_values.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        x = torch.relu(self.stem_norm(self.stem(x)))
        for block in self.blocks:
            x = block(x)  # (crops, channels, side / 4, side / 4)
        conv_map = torch.relu(x)
        cells = self.fold(conv_map).flatten(2).transpose(1, 2)  # (crops, cells, cell_size)
        hidden = cells + self.position_embedding
        for layer in self.layers:
            hidden = layer(hidden)
        return self.post_layernorm(hidden), conv_map


AutoConfig.register("leopard_reader", LeopardReaderConfig, exist_ok=True)
AutoModel.register(LeopardReaderConfig, LeopardReader, exist_ok=True)
