"""Sizes of the reading encoder (`leopard.model.reader`) and its parts. Knows nothing of weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedConfig

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
        comma_classes: Classes of characters that part items of a line, such as commas.
        dash_classes: Classes of characters that do so after a blank, such as dashes.
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
        comma_classes: Sequence[int] = (),
        dash_classes: Sequence[int] = (),
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
        self.comma_classes, self.dash_classes = list(comma_classes), list(dash_classes)
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
