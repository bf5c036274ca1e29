"""The shape of an allocation policy and the list of those that exist. Knows no rule itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from leopard.errors import ConfigError
from leopard.schema.geometry import ImageSize


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """What a policy may look at besides sizes.

    All of it is missing where tiles are planned from sizes alone, as for counting and for training;
    a policy must then do with the sizes.
    """

    images: tuple[Any, ...] = ()
    """Pillow images, upright RGB, in prompt order; empty when there are sizes only."""
    question: str = ""
    """What the user wrote in this prompt; empty when not known."""
    weights: tuple[int, ...] | None = None
    """How much each image matters: integers of 0 or more, in prompt order; None when nothing is
    known. `fill` multiplies areas by them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TileRequest:
    """What a policy may look at."""

    sizes: tuple[ImageSize, ...]
    """Image sizes in pixels, in prompt order."""
    budget: int
    """Most tiles in the prompt, thumbnails not counted; at least 1."""
    crop_size: int
    """Side of a square tile, in pixels."""
    most_per_image: int
    """Most tiles of one image; the budget where nothing else is said. A policy that ignores it
    has its counts cut."""
    content: Content = Content()
    """Images, question and weights, where they are known. A policy may ignore them."""


Policy = Callable[[TileRequest], list[int]]
"""Takes a request, returns tiles per image in order: never negative, never above the budget."""

_POLICIES: dict[str, Policy] = {}


def register(name: str) -> Callable[[Policy], Policy]:
    """Enter a policy under a name, the one that users and saved settings give."""

    def enter(policy: Policy) -> Policy:
        assert name not in _POLICIES, f"two policies are called {name}"
        _POLICIES[name] = policy
        return policy

    return enter


def policy_names() -> tuple[str, ...]:
    """Names of all policies, sorted."""
    return tuple(sorted(_POLICIES))


def find_policy(name: str) -> Policy:
    """Look a policy up.

    Raises:
        ConfigError: If there is none of that name.
    """
    try:
        return _POLICIES[name]
    except KeyError:
        raise ConfigError(
            f"allocation policy {name!r} is unknown; use one of {', '.join(policy_names())}"
        ) from None
