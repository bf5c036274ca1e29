"""Converters of the 30 sources of the Leopard paper (Table 8) from a user's local copy.

Each source lies in a file of its own and is read in the format in which it is published; nothing
is downloaded. `get_converter` finds one by name.
"""

from __future__ import annotations

from importlib import import_module

from leopard.curation.converters.source import Converter
from leopard.errors import ConfigError

SOURCES = (
    "arxivqa",
    "dude",
    "mpdocvqa",
    "docvqa",
    "tatdqa",
    "slidesgeneration",
    "slidevqa",
    "slideshare",
    "multihiertt",
    "multitabqa",
    "tablegpt",
    "tabmwp",
    "chartgemma",
    "dvqa",
    "figureqa",
    "chartqa",
    "pew_multichart",
    "mind2web",
    "website_screenshots",
    "omniact",
    "screenqa",
    "webvision",
    "webui",
    "llavar",
    "mathv360k",
    "monkey",
    "docreason",
    "iconqa",
    "infographicvqa",
    "mapqa",
)
"""All sources, in the order of Table 8."""


def get_converter(name: str) -> Converter:
    """The converter with a name.

    Raises:
        ConfigError: If there is none; the message lists those there are.
    """
    if name not in SOURCES:
        raise ConfigError(f"source {name!r} is unknown; use one of {', '.join(SOURCES)}")
    converter = import_module(f"leopard.curation.converters.{name}").CONVERTER
    assert isinstance(converter, Converter)
    return converter
