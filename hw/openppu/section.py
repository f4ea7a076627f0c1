"""Sections of a chip's description: fields that carry their own type, range, unit and meaning."""

import dataclasses
import json
import re
from dataclasses import MISSING, Field, fields
from typing import Any


class ConfigError(ValueError):
    """A chip's description that cannot be built; one line that names key, value and what is allowed."""

    def __init__(self, message: str) -> None:
        super().__init__("".join(c if c.isprintable() else repr(c)[1:-1] for c in message))


def option(
    doc: str,
    *,
    least: int | None = None,
    most: int | None = None,
    above: float | None = None,
    unit: str = "",
    power_of_two: bool = False,
    choices: tuple[Any, ...] = (),
    pattern: str = "",
    default: Any = MISSING,
) -> Any:
    """A dataclass field with what a user may write into it.

    ``above`` is an exclusive lower bound; ``choices`` are all values allowed, or those of a list's parts.
    """
    limits = dict(least=least, most=most, above=above, power_of_two=power_of_two, choices=choices, pattern=pattern)
    return dataclasses.field(default=default, metadata={"doc": doc, "unit": unit, **limits})


class Section:
    """Base of every section: checks and normalises the fields when an object is made, however it is made."""

    SECTION: str

    def __post_init__(self) -> None:
        for f in options(type(self)):
            object.__setattr__(self, f.name, _checked(f, f"{self.SECTION}.{f.name}", getattr(self, f.name)))


def options(section: type[Section]) -> list[Field[Any]]:
    """The fields of a section that a user may write."""
    return [f for f in fields(section) if "doc" in f.metadata]  # type: ignore[arg-type]


def _checked(f: Field[Any], key: str, value: Any) -> Any:
    """The value in its field's own type, or ConfigError."""
    limits = f.metadata
    if limits["choices"] and f.type in (int, str, bool):
        good = type(value) is f.type and value in limits["choices"]
    elif f.type is int:
        good = type(value) is int and limits["least"] <= value <= limits["most"]
        good = good and not (limits["power_of_two"] and value.bit_count() != 1)
    elif f.type is float:
        good = type(value) in (int, float) and limits["above"] < value <= limits["most"]
        value = float(value) if good else value
    elif f.type is str:
        good = isinstance(value, str) and value.isprintable()
        good = good and (not limits["pattern"] or re.fullmatch(limits["pattern"], value) is not None)
    else:
        good = isinstance(value, list | tuple) and len(value) > 0 and all(name in limits["choices"] for name in value)
        good = good and len(set(value)) == len(value)
        value = tuple(value) if good else value
    if not good:
        raise ConfigError(f"{key} = {show(value)}: give {allowed_values(f)}")
    return value


def allowed_values(f: Field[Any]) -> str:
    """What a user may write into a field, in words."""
    limits = f.metadata
    if limits["choices"] and f.type in (int, str, bool):
        return f"one of {', '.join(shown(choice) for choice in limits['choices'])}"
    if f.type is int:
        kind = "a power of two" if limits["power_of_two"] else "an integer"
        return f"{kind} from {limits['least']} to {limits['most']}"
    if f.type is float:
        return f"a number above {limits['above']}, at most {limits['most']}"
    if f.type is str:
        return f"a text that matches {limits['pattern']}" if limits["pattern"] else "a text of one line"
    return f"a list of one or more of {', '.join(limits['choices'])}, none twice"


def shown(value: Any) -> str:
    """A value as a TOML file has it, a text without its quotes."""
    return json.dumps(value) if isinstance(value, bool) else f"{value}"


def show(value: Any) -> str:
    """A value as a user would write it, cut to what fits a message."""
    number = value if type(value) is not int or abs(value) < 10**60 else hex(value)  # no limit of digits for hex
    return cut(json.dumps(number, default=str, ensure_ascii=False))


def cut(text: str) -> str:
    """The text, or as much of it as fits a message."""
    return text if len(text) <= 60 else text[:57] + "..."
