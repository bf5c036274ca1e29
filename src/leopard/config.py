"""Settings as frozen pydantic models read from TOML, with dotted overrides.

The models are the schema, TOML files hold values only. Knows nothing of what is configured.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from leopard.errors import ConfigError


class Settings(BaseModel):
    """Base of all settings: frozen, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


SettingsT = TypeVar("SettingsT", bound=Settings)


def merge(base: Mapping[str, Any], update: Mapping[str, Any]) -> dict[str, Any]:
    """Deep-merge two mappings; values of `update` win, tables are merged key by key."""
    merged = dict(base)
    for key, value in update.items():
        old = merged.get(key)
        both_tables = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(old, value) if both_tables else value  # type: ignore[arg-type]
    return merged


def parse_override(text: str) -> dict[str, Any]:
    """Turn `a.b=1` into `{"a": {"b": 1}}`; values are TOML, bare words are strings.

    Raises:
        ConfigError: If there is no `=`.
    """
    path, sep, raw = text.partition("=")
    if not sep or not path.strip():
        raise ConfigError(f"override {text!r} must look like key.subkey=value")
    try:
        value: Any = tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        value = raw
    for key in reversed(path.strip().split(".")):
        value = {key: value}
    return dict(value)


def build(
    schema: type[SettingsT], values: Mapping[str, Any], *, origin: str = "settings"
) -> SettingsT:
    """Check values against a schema.

    Args:
        schema: The settings class.
        values: Nested plain values.
        origin: Where the values came from, for the message.

    Raises:
        ConfigError: Naming each wrong key, the value got, and what is allowed.
    """
    try:
        return schema.model_validate(dict(values))
    except ValidationError as error:
        lines = [
            f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']} (got {item['input']!r})"
            for item in error.errors()
        ]
        raise ConfigError(f"{origin}: " + "; ".join(lines)) from error


def load(
    schema: type[SettingsT], path: Path | None = None, overrides: Sequence[str] = ()
) -> SettingsT:
    """Read settings from a TOML file (or defaults alone) and apply dotted overrides.

    Raises:
        ConfigError: If the file is missing, is not TOML, or a value is wrong.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read ({error.strerror}); give a file") from error
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{path}: not valid TOML ({error})") from error
    for override in overrides:
        values = merge(values, parse_override(override))
    return build(schema, values, origin=str(path) if path else "settings")
