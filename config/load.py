"""File and environment -> Settings, all errors at once.

The only module that reads settings files and the environment.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from config.settings import Settings

PREFIX = "TONELINE_"


class BadSettings(Exception):
    """The settings cannot be used; `errors` are sentences with key, value and what is allowed."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


def load_settings(path: Path | None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings of a TOML file (None: the defaults), the environment laid over it.

    `TONELINE_SECTION__KEY` overrides a key and `TONELINE_SMSC__0__HOST` one in a list; the value is
    read as TOML, else as a string.

    Raises:
        BadSettings: every error of the file and the environment, one sentence each.
    """
    tree = {} if path is None else _read(path)
    errors = _lay_over(tree, environment)
    settings = Settings()
    try:
        settings = _validate(tree, environment)
    except ValidationError as invalid:
        where = str(path) if path is not None else "settings"
        errors += [
            f"{_variable(error['loc'], environment) or where}: {_sentence(error)}"
            for error in invalid.errors()
        ]
    if errors:
        raise BadSettings(errors)
    return settings


def _validate(tree: dict[str, Any], environment: Mapping[str, str]) -> Settings:
    try:
        return Settings.model_validate(tree)
    except ValidationError as invalid:
        # A number in the environment may be meant as text: a password 1234, a sender 12530019.
        for error in invalid.errors():
            name = PREFIX + "__".join(str(part) for part in error["loc"]).upper()
            if error["type"] == "string_type" and name in environment:
                _put(tree, [str(part) for part in error["loc"]], environment[name])
        return Settings.model_validate(tree)


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        raise BadSettings([f"{path}: there is no such file; name one with --config"]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings([f"{path}: cannot be read: {error}"]) from error
    except tomllib.TOMLDecodeError as error:
        raise BadSettings([f"{path}: this is not TOML: {error}"]) from error


def _lay_over(tree: dict[str, Any], environment: Mapping[str, str]) -> list[str]:
    errors = []
    for name in sorted(environment):
        if not name.startswith(PREFIX):
            continue
        keys = name.removeprefix(PREFIX).lower().split("__")
        if len(keys) < 2:
            errors.append(f"{name}: expected {PREFIX}SECTION__KEY")
            continue
        try:
            _put(tree, keys, _value(environment[name]))
        except (TypeError, IndexError, ValueError):
            errors.append(f"{name}: there is no such place in the settings")
    return errors


def _put(tree: Any, keys: list[str], value: Any) -> None:
    for key, following in zip(keys[:-1], keys[1:], strict=True):
        if isinstance(tree, list):
            index = int(key)
            if index == len(tree):
                tree.append({})
            tree = tree[index]
        elif isinstance(tree, dict):
            tree = tree.setdefault(key, [] if following.isdigit() else {})
        else:
            raise TypeError(key)
    if isinstance(tree, list) and int(keys[-1]) == len(tree):
        tree.append(value)
    elif isinstance(tree, list):
        tree[int(keys[-1])] = value
    elif isinstance(tree, dict):
        tree[keys[-1]] = value
    else:
        raise TypeError(keys[-1])


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _variable(place: tuple[int | str, ...], environment: Mapping[str, str]) -> str | None:
    """Return the variable that says what stands at a place of the settings, if one does."""
    given = {name.upper(): name for name in environment}
    parts = [str(part).upper() for part in place]
    names = (PREFIX + "__".join(parts[:end]) for end in range(len(parts), 1, -1))
    return next((given[name] for name in names if name in given), None)


def _sentence(error: ErrorDetails) -> str:
    key = ".".join(map(str, error["loc"])) or "settings"
    if error["type"] == "extra_forbidden":
        return f"{key}: there is no such key"
    if error["type"] == "missing":
        return f"{key}: must be given"
    return f"{key}{_shown(key, error)}: {error['msg'].removeprefix('Value error, ')}"


def _shown(key: str, error: ErrorDetails) -> str:
    """Return a value as a sentence shows it; where a whole section should be, anything may be."""
    value, is_section = error["input"], len(error["loc"]) < 2 or error["type"] == "model_type"
    if is_section or (value and isinstance(value, dict | list)):
        return ""
    return " = (hidden)" if _secret(key) else f" = {value!r}"


def _secret(key: str) -> bool:
    return any(word in key for word in ("password", "pin", "secret", "url"))
