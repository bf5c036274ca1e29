"""What decides the content of synthetic samples, and the presets.

Everything here goes into the content hash: the same settings, seed and index give the same sample.
How many samples, in which shards, by how many processes, is not here. Knows nothing of drawing.
"""

from __future__ import annotations

import hashlib
import tomllib
from importlib import resources
from typing import Literal

from pydantic import Field, model_validator

from leopard.config import Settings, build
from leopard.curation.synthesis.theme import HELD_OUT_FONTS, TRAIN_FONTS
from leopard.errors import ConfigError
from leopard.schema.rows import canonical_json

GENERATOR_VERSION = 15
"""Raised whenever the same settings would give other samples."""


class PageShares(Settings):
    """How often each page format is drawn; the numbers are weights."""

    small: float = Field(default=0.5, ge=0)
    """Cards, receipts, labels: one to four crops when drawn legibly."""
    sheet: float = Field(default=0.35, ge=0)
    """A5, A4, letter."""
    slide: float = Field(default=0.15, ge=0)
    """16:9 and 4:3."""
    screen: float = Field(default=0.0, ge=0)
    """Web pages as a browser window shows them."""
    figure: float = Field(default=0.0, ge=0)
    """Charts or tables by themselves, as cut out of a document."""


class SplitShares(Settings):
    """Shares of the splits; test documents show fonts and styles that no other document shows."""

    train: float = Field(default=0.96, ge=0)
    val: float = Field(default=0.02, ge=0)
    test: float = Field(default=0.02, ge=0)


class SynthSettings(Settings):
    """Settings of one synthetic set."""

    name: str = Field(default="custom", pattern=r"^[a-z0-9][a-z0-9-]*$")
    """Start of every sample id."""
    seed: int = 0
    domains: dict[str, float] = Field(default_factory=dict)
    """Domain -> weight; empty means all, equally."""
    pages: PageShares = PageShares()
    web_renderer: Literal["auto", "typst", "chromium"] = "typst"
    """What sets web pages; `auto` is chromium where there is one, decided when a set is planned."""
    splits: SplitShares = SplitShares()
    section_weights: tuple[float, ...] = (0.7, 0.12, 0.08, 0.05, 0.05)
    """Weight of documents with 1, 2, 3 ... parts; every part starts a page."""
    max_pages: int = Field(default=8, ge=1, le=50)
    min_turns: int = Field(default=4, ge=1)
    max_turns: int = Field(default=10, ge=1)
    families: dict[str, float] = Field(default_factory=dict)
    """Question family -> weight."""
    max_answer: int = Field(default=32, ge=1)
    """Longest answer, in characters."""
    ascii_only: bool = True
    has_rationales: bool = False
    """Whether assistant turns reason before they answer."""
    min_x_height: float = Field(default=6.0, gt=0)
    """Height of a lower-case x in the reference picture, in pixels, at least."""
    max_x_height: float = Field(default=11.0, gt=0)
    fonts: tuple[str, ...] = TRAIN_FONTS
    held_out_fonts: tuple[str, ...] = HELD_OUT_FONTS
    chart_share: float = Field(default=0.0, ge=0, le=1)
    """Share of tables that are drawn as charts where one fits."""
    copy_share: float = Field(default=0.0, ge=0, le=1)
    """Share of parts in which a table is repeated with one value altered, where one fits."""
    choice_share: float = Field(default=0.0, ge=0, le=1)
    """Share of suitable questions asked as multiple choice."""
    sentence_share: float = Field(default=0.0, ge=0, le=1)
    """Share of suitable questions that are answered in a sentence."""
    split_share: float = Field(default=0.0, ge=0, le=1)
    """Share of suitable tables that go on over several pages."""
    scan_share: float = Field(default=0.0, ge=0, le=1)
    """Share of pages that are shown as scans."""

    @model_validator(mode="after")
    def _consistent(self) -> SynthSettings:
        if self.min_turns > self.max_turns:
            raise ValueError("min_turns is above max_turns")
        if self.min_x_height > self.max_x_height:
            raise ValueError("min_x_height is above max_x_height")
        if len(self.section_weights) > self.max_pages:
            raise ValueError("section_weights has more entries than max_pages")
        return self

    @property
    def content_hash(self) -> str:
        """Hash of everything that decides the content, 16 hex digits."""
        plain = canonical_json({"version": GENERATOR_VERSION, **self.model_dump(mode="json")})
        return hashlib.sha256(plain.encode()).hexdigest()[:16]


def preset_names() -> list[str]:
    """Presets that ship with the package."""
    folder = resources.files("leopard.curation").joinpath("data/presets")
    return sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name != "__init__.py")


def load_preset(name: str) -> SynthSettings:
    """A preset by name.

    Raises:
        ConfigError: If there is none of this name.
    """
    if name not in preset_names():
        raise ConfigError(f"preset {name!r} is unknown; use one of {', '.join(preset_names())}")
    file = resources.files("leopard.curation").joinpath(f"data/presets/{name}.toml")
    return build(SynthSettings, tomllib.loads(file.read_text("utf-8")), origin=f"preset {name}")
