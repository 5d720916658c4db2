"""Readers of a `config.json`: every value is checked, every error names its key and the limits."""

from collections.abc import Mapping
from math import isfinite
from types import MappingProxyType
from typing import Any, Final

from llama_operator.errors import ConfigError

DIMENSION_LIMIT: Final = 2**24
"""Bound of widths and of the vocabulary, 64 times those of the largest published models."""
LAYERS_LIMIT: Final = 10_000
HEADS_LIMIT: Final = 2**16
EXPERTS_LIMIT: Final = 2**16
POSITIONS_LIMIT: Final = 10**10
FACTOR_LIMIT: Final = 10**6

NO_DEFAULTS: Final[Mapping[str, int]] = MappingProxyType({})


class Config:
    """One section of a `config.json`.

    A key that is absent or null has its default. Numbers are whole and within limits: no strings,
    no booleans, nothing infinite.

    Args:
        values: the section.
        path: the section's own key, empty for the outermost.
        defaults: of the model type, for numbers that are absent or null.
    """

    __slots__ = ("_defaults", "_path", "_values")

    def __init__(
        self, values: Mapping[str, Any], path: str = "", defaults: Mapping[str, int] = NO_DEFAULTS
    ) -> None:
        self._values = values
        self._path = path
        self._defaults = defaults

    def with_defaults(self, defaults: Mapping[str, int]) -> "Config":
        """The same section with the defaults of a model type."""
        return Config(self._values, self._path, defaults)

    def key(self, key: str) -> str:
        """The full name of a key, for messages."""
        return f"{self._path}.{key}" if self._path else key

    def error(self, key: str, message: str) -> ConfigError:
        """An error about one key of this section."""
        return ConfigError(self.key(key), message)

    def has(self, key: str) -> bool:
        """Whether the key is there and not null."""
        return self._values.get(key) is not None

    def names(self) -> tuple[str, ...]:
        """The keys that are there and not null."""
        return tuple(
            key for key, value in self._values.items() if isinstance(key, str) and value is not None
        )

    def first_of(self, keys: tuple[str, ...]) -> str:
        """The first of several names that is there; the first name where none is."""
        return next((key for key in keys if self.has(key)), keys[0])

    def optional_integer(
        self, key: str, *, least: int = 1, most: int = DIMENSION_LIMIT
    ) -> int | None:
        """A whole number, None where the key is absent and the model type has no default.

        Raises:
            ConfigError: it is no whole number within the limits, both inclusive.
        """
        value = self._values.get(key)
        if value is None:
            return self._defaults.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self.error(key, f"{_shown(value)} is no whole number from {least:,} to {most:,}")
        return value

    def integer(
        self, key: str, *, least: int = 1, most: int = DIMENSION_LIMIT, default: int | None = None
    ) -> int:
        """A whole number that must be there unless there is a default.

        Raises:
            ConfigError: it is missing, or no whole number within the limits, both inclusive.
        """
        value = self.optional_integer(key, least=least, most=most)
        if value is not None:
            return value
        if default is None:
            raise self.error(key, f"is missing; a whole number from {least:,} to {most:,}")
        return default

    def number(self, key: str, *, default: float) -> float:
        """A positive number.

        Raises:
            ConfigError: it is no number, not finite, not positive or too large.
        """
        value = self._values.get(key)
        if value is None:
            return default
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not 0 < value <= FACTOR_LIMIT
            or not isfinite(value)
        ):
            raise self.error(key, f"{_shown(value)} is no number above 0, up to {FACTOR_LIMIT:,}")
        return float(value)

    def flag(self, key: str, *, default: bool = False) -> bool:
        """A truth value.

        Raises:
            ConfigError: it is something else.
        """
        value = self._values.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.error(key, f"{_shown(value)} is neither true nor false")
        return value

    def text(self, key: str) -> str:
        """A text, empty where the key is absent.

        Raises:
            ConfigError: it is something else.
        """
        value = self._values.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self.error(key, f"{_shown(value)} is no text")
        return value

    def is_text(self, key: str, word: str) -> bool:
        """Whether the key holds this very word."""
        return bool(self._values.get(key) == word)

    def integers(
        self, key: str, *, least: int = 0, most: int = DIMENSION_LIMIT
    ) -> tuple[int, ...] | None:
        """A list of whole numbers, None where the key is absent.

        Raises:
            ConfigError: it is no list of at most 10,000 whole numbers within the limits.
        """
        values = self._list(key)
        if values is None:
            return None
        if not all(type(value) is int and least <= value <= most for value in values):
            raise self.error(key, f"is no list of whole numbers from {least:,} to {most:,}")
        return tuple(values)

    def numbers_of(self, key: str, *, least: int) -> tuple[int, ...]:
        """A list of whole numbers that may be one number alone, empty where the key is absent.

        Raises:
            ConfigError: it is neither.
        """
        if isinstance(self._values.get(key), list | tuple):
            return self.integers(key, least=least) or ()
        value = self.optional_integer(key, least=least)
        return () if value is None else (value,)

    def words(self, key: str) -> tuple[str, ...] | None:
        """A list of texts, None where the key is absent.

        Raises:
            ConfigError: it is no list of at most 10,000 texts.
        """
        values = self._list(key)
        if values is None:
            return None
        if not all(isinstance(value, str) for value in values):
            raise self.error(key, "is no list of texts")
        return tuple(values)

    def section(self, key: str) -> "Config | None":
        """A section below this one, None where the key is absent.

        Raises:
            ConfigError: it is no mapping.
        """
        value = self._values.get(key)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise self.error(key, f"{_shown(value)} is no mapping")
        return Config(value, self.key(key))

    def _list(self, key: str) -> list[Any] | tuple[Any, ...] | None:
        value = self._values.get(key)
        if value is None:
            return None
        if not isinstance(value, list | tuple) or len(value) > LAYERS_LIMIT:
            raise self.error(key, f"{_shown(value)} is no list of at most {LAYERS_LIMIT:,} entries")
        return value


def read_config(values: Mapping[str, Any]) -> Config:
    """The outermost section of a `config.json`.

    Args:
        values: the file as a mapping.

    Raises:
        ConfigError: it is no mapping.
    """
    if not isinstance(values, Mapping):
        raise ConfigError("(root)", f"{_shown(values)} is no mapping")
    return Config(values)


def _shown(value: object) -> str:
    """A value for a message, never long: what is nested is named by its type."""
    if isinstance(value, bool | float) or value is None:
        return repr(value)
    if isinstance(value, int):
        return str(value) if abs(value) < 10**30 else "a number of more than 30 digits"
    if isinstance(value, str):
        return repr(value[:40])
    return f"a {type(value).__name__}"
