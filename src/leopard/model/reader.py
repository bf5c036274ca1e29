"""A small vision encoder that learns to read on a CPU: convolutions, then a few attention layers.

The published encoder is a 27-layer ViT; from scratch on a laptop such a design learns slowly. This
one sees strokes through strided convolutions (stride 4), folds each 28x28-pixel cell into one
vector, and lets the cells of a crop look at one another. It may end by spelling (see
`leopard.model.spelling`), so that what it is sure of comes out as clean as print. It stands where
SigLIP stands: same input, `last_hidden_state` out. Knows nothing of prompts or language models.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from leopard.model.spelling import Spelling
from leopard.model.tiling import Grids

STRIDE = 4
"""Pixels per step of the convolutional map."""


class LeopardReaderConfig(PreTrainedConfig):
    """Sizes of a reading encoder.

    Args:
        image_size: Side of a crop, in pixels. Must be a multiple of `patch_size`.
        patch_size: Side of a cell that becomes one feature vector, in pixels; a multiple of 4.
        hidden_size: Length of a feature vector; follows from the other sizes if it spells.
        cell_size: Length of a cell's vector inside; `hidden_size` if not given.
        lines_per_cell: Lines spelled per cell; 0 to pass on the cell's vector itself.
        places_per_line: Characters spelled per line: as many as a cell has columns of the
            convolutional map.
        last_per_line: Characters at the end of a line that are passed on once more.
        num_classes: Characters told apart; class 0 is nothing and has no code.
        code_size: Length of a character's code.
        column_size: Length of what is seen at a column of a line.
        chain_size: Length of what is remembered along a line.
        around_size: Length of what says what stands around a line; 0 to pass nothing on.
        triple_rows: Rows of the table of letter triples.
        triple_units: Units of vectors of letter triples.
        around_units: Units that mix what stands around a line.
        blank_class: Class of the blank.
        colon_class: Class of the character that ends a label.
        stop_class: Class of the character that ends a sentence; 0 if none does.
        ordinal_waves: Radians from one place of a line to the next, by which ordinals are told;
            none to pass no ordinals on.
        conv_channels: Channels of the convolutional map.
        num_conv_blocks: Residual 3x3 blocks on the map.
        num_hidden_layers: Attention layers over the cells of one crop.
        num_attention_heads: Heads of each attention layer.
    """

    model_type = "leopard_reader"
    base_config_key = "vision_config"

    def __init__(  # noqa: PLR0913 - transformers builds configs from keyword arguments
        self,
        image_size: int = 364,
        patch_size: int = 28,
        hidden_size: int = 320,
        cell_size: int | None = None,
        lines_per_cell: int = 0,
        places_per_line: int = 0,
        last_per_line: int = 0,
        num_classes: int = 0,
        code_size: int = 0,
        column_size: int = 0,
        chain_size: int = 0,
        around_size: int = 0,
        triple_rows: int = 0,
        triple_units: int = 0,
        around_units: int = 0,
        blank_class: int = 0,
        colon_class: int = 0,
        stop_class: int = 0,
        ordinal_waves: Sequence[float] = (),
        conv_channels: int = 64,
        num_conv_blocks: int = 4,
        num_hidden_layers: int = 2,
        num_attention_heads: int = 8,
        **kwargs: Any,
    ) -> None:
        self.image_size = image_size
        self.patch_size = patch_size
        self.cell_size = cell_size or hidden_size
        self.lines_per_cell, self.places_per_line = lines_per_cell, places_per_line
        self.last_per_line, self.num_classes = last_per_line, num_classes
        self.code_size, self.chain_size, self.column_size = code_size, chain_size, column_size
        self.around_size, self.triple_rows = around_size, triple_rows
        self.triple_units, self.around_units = triple_units, around_units
        self.blank_class, self.colon_class = blank_class, colon_class
        self.stop_class = stop_class
        self.ordinal_waves = list(ordinal_waves)
        if lines_per_cell and places_per_line != patch_size // STRIDE:
            raise ValueError(
                f"places_per_line is {places_per_line}; it must be {patch_size // STRIDE}, the "
                f"columns of a cell of {patch_size} pixels"
            )
        side = image_size // patch_size
        num_slots = lines_per_cell * (places_per_line + last_per_line)
        told = 4 * len(self.ordinal_waves) + 2 * bool(self.ordinal_waves)
        around = lines_per_cell * (around_size + told)
        spelled = num_slots * code_size + around + 2 * side
        self.hidden_size = spelled if num_slots else self.cell_size
        self.conv_channels = conv_channels
        self.num_conv_blocks = num_conv_blocks
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.num_channels = 3
        super().__init__(**kwargs)

    @property
    def joins_tiles(self) -> bool:
        """Whether what is passed on of a tile depends on the other tiles of its page."""
        return bool(self.lines_per_cell and (self.around_size or self.ordinal_waves))


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
