"""The chip's description: one TOML file, read into one frozen, checked object.

Hardware, reference, cycle model and reports read that object and nothing else. Each field carries its own type,
range, unit and meaning (`openppu.section`); reading, messages and ``docs/configuration.md`` all come from those
(``python -m openppu.config`` prints the page).
"""

import dataclasses
import difflib
import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any, Self

from openppu.chip.config import ClocksConfig
from openppu.command.config import CommandConfig
from openppu.dma.config import DmaConfig
from openppu.hbm.stacks import HbmConfig
from openppu.link.config import LinkConfig
from openppu.matmul.config import MatmulConfig
from openppu.noc.config import NocConfig
from openppu.scratchpad.config import WORD_BYTES, ScratchpadConfig
from openppu.section import ConfigError as ConfigError
from openppu.section import Section, allowed_values, cut, option, show, shown
from openppu.section import options as options
from openppu.vector.config import VectorConfig

PRESET_FOLDER = Path(__file__).parent / "configs"
FORMATS = ("int8", "fp8_e4m3", "fp8_e5m2", "fp16", "bf16")
WIDE_FORMATS = ("fp16", "bf16")


@dataclass(frozen=True, kw_only=True)
class TileConfig(Section):
    """The systolic matmul tile: ``rows`` x ``columns`` processing elements, one weight block deep in k.

    Raises
    ------
    ConfigError
        If a value is outside its range, or the latency does not fit the formats.
    """

    SECTION = "tile"

    rows: int = option("rows of processing elements: products along k in one block", least=1, most=256)
    columns: int = option("columns of processing elements: results along n in one block", least=1, most=256)
    formats: tuple[str, ...] = option("operand formats that are built in; a command chooses one", choices=FORMATS)
    latency: int = option(
        "time a partial sum spends in one processing element: 1 for a tile with int8 alone, "
        "2 to 5 when a float format is built in",
        least=1,
        most=5,
        unit="cycles",
    )
    accumulators: int = option(
        "rows of the accumulator memory, each one sum for every column", least=8, most=16384, power_of_two=True
    )
    address_bits: int = option("width of operand buffer addresses", least=4, most=32, unit="bits", default=16)
    count_bits: int = option("width of the count of K blocks in a command", least=4, most=24, unit="bits", default=16)
    outstanding: int = option("operand requests in flight, for each operand", least=2, most=64, default=16)

    def __post_init__(self) -> None:
        super().__post_init__()
        allowed = (2, 3, 4, 5) if self.has_float else (1,)
        if self.latency not in allowed:
            built = f"formats {', '.join(self.formats)}"
            give = f"2, 3, 4 or 5 with {built}" if self.has_float else f"1 with {built} alone"
            raise ConfigError(f"tile.latency = {self.latency}: impossible with these formats; give {give}")

    @property
    def has_int(self) -> bool:
        """Whether int8 is built in."""
        return "int8" in self.formats

    @property
    def float_formats(self) -> tuple[str, ...]:
        """The float formats that are built in, in the order of ``FORMATS``."""
        return tuple(name for name in FORMATS if name != "int8" and name in self.formats)

    @property
    def has_float(self) -> bool:
        """Whether any float format is built in."""
        return bool(self.float_formats)

    @property
    def operand_bits(self) -> int:
        """Width of one operand on the ports: 16 when a 16-bit format is built in, else 8."""
        return 16 if any(name in WIDE_FORMATS for name in self.formats) else 8

    @property
    def accumulator_bits(self) -> int:
        """Width of an accumulator row's address."""
        return self.accumulators.bit_length() - 1

    @property
    def row_bytes(self) -> int:
        """Bytes of the widest thing that a cycle moves: a row of results or addends, a block's column of operands."""
        return max(4 * self.columns, self.rows * self.operand_bits // 8)


@dataclass(frozen=True, kw_only=True)
class ChipConfig(Section):
    """A whole chip.

    Raises
    ------
    ConfigError
        If a value is outside its range, or the scratchpad's words are too narrow for the tile.
    """

    SECTION = "chip"

    name: str = option("short name, used for files and Verilog modules", pattern="[a-z][a-z0-9_]{0,31}")
    description: str = option("one line for people", default="")
    compute_units: int = option("compute units on the chip, each with one tile", least=1, most=255)
    clock_mhz: float = option("clock that rates are stated for", above=0, most=100_000, unit="MHz")
    tile: TileConfig
    hbm: HbmConfig = dataclasses.field(default_factory=HbmConfig)
    link: LinkConfig = dataclasses.field(default_factory=LinkConfig)
    command: CommandConfig = dataclasses.field(default_factory=CommandConfig)
    scratchpad: ScratchpadConfig = dataclasses.field(default_factory=ScratchpadConfig)
    dma: DmaConfig = dataclasses.field(default_factory=DmaConfig)
    vector: VectorConfig = dataclasses.field(default_factory=VectorConfig)
    matmul: MatmulConfig = dataclasses.field(default_factory=MatmulConfig)
    noc: NocConfig = dataclasses.field(default_factory=NocConfig)
    clocks: ClocksConfig = dataclasses.field(default_factory=ClocksConfig)
    source: str = dataclasses.field(default="", compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        wanted, given = self.tile.row_bytes, self.scratchpad.word_bytes
        if self.scratchpad.fitted or given == 0:
            fitting = min(width for width in WORD_BYTES if width >= wanted)
            fitted = dataclasses.replace(self.scratchpad, word_bytes=fitting, fitted=True)
            object.__setattr__(self, "scratchpad", fitted)
        elif given < wanted:
            tile = f"{self.tile.rows} x {self.tile.columns}, operands of {self.tile.operand_bits} bits"
            raise ConfigError(
                f"scratchpad.word_bytes = {given}: too narrow for the tile ({tile}); give at least {wanted}, "
                f"or 0 for the narrowest that suits it"
            )

    def fingerprint(self) -> str:
        """12 hex digits that change with any value but name, description and source."""
        values = dataclasses.asdict(self)
        for label in ("name", "description", "source"):
            del values[label]
        del values["scratchpad"]["fitted"]
        if self.clocks == ClocksConfig():  # a chip from before there was a choice stays the same
            del values["clocks"]
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def clock_rates(self) -> dict[str, float]:
        """MHz of each clock: ``clk``; with separate clocks, also ``hbm_clk`` and ``link_clk``, if there is a link."""
        rates = {"clk": self.clock_mhz}
        if self.clocks.separate:
            rates["hbm_clk"] = self.hbm.clock_mhz
            if self.link.ports:
                rates["link_clk"] = self.link.clock_mhz
        return rates

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields of the tile changed, for example ``rows=16, columns=16``; checked again."""
        return dataclasses.replace(self, tile=dataclasses.replace(self.tile, **changes))


SECTIONS: dict[str, type[Section]] = {
    cls.SECTION: cls
    for cls in (
        *(ChipConfig, TileConfig, HbmConfig, LinkConfig, CommandConfig),
        *(ScratchpadConfig, DmaConfig, VectorConfig, MatmulConfig, NocConfig, ClocksConfig),
    )
}


def presets() -> list[str]:
    """Names of the configurations that come with the project."""
    return sorted(path.stem for path in PRESET_FOLDER.glob("*.toml"))


def load(name: str | Path, overrides: Iterable[str] = ()) -> ChipConfig:
    """Read a chip's description.

    Parameters
    ----------
    name : str or Path
        A preset's name, or a TOML file.
    overrides : iterable of str
        Single values to change, such as ``"tile.rows=128"`` or ``"tile.formats=int8,bf16"``.

    Raises
    ------
    ConfigError
        If the file is missing or broken, or any value is unknown, of the wrong type, out of range or impossible
        together with another; the message is one line.
    """
    path = _find(name)
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{_shown(path)}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{_shown(path)}: not valid TOML: {error}") from None
    except (ValueError, RecursionError):
        raise ConfigError(f"{_shown(path)}: not valid TOML: a number is too long, or brackets too deep") from None

    where = _shown(path)
    try:
        for override in overrides:
            where += f" --set {cut(override)}"
            _override(tables, override)
        return _build(tables, str(path))
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _shown(path: Path) -> str:
    """The path as people read it: relative where it stands below the working folder."""
    if path.parent == PRESET_FOLDER and path.stem in presets():
        return path.name
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _find(name: str | Path) -> Path:
    if str(name) in presets():
        return PRESET_FOLDER / f"{name}.toml"
    path = Path(name)
    try:
        if path.is_file():
            return path
        problem = "a folder" if path.is_dir() else "no such file or preset"
    except OSError as error:
        problem = str(error.strerror)
    raise ConfigError(f"configuration {str(name)!r}: {problem}; give a TOML file or a preset: {_list(presets())}")


def _override(tables: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    section, dot, name = key.strip().partition(".")
    if not (equals and dot and section and name):
        raise ConfigError("not of the form section.key=value, such as tile.rows=128")
    try:
        parsed = tomllib.loads(f"value = {text}")
        value = parsed["value"] if len(parsed) == 1 else text
    except (ValueError, RecursionError):  # no TOML, a number of thousands of digits, thousands of brackets
        value = text.strip()
    if section in SECTIONS and isinstance(value, str):
        types = {f.name: f.type for f in options(SECTIONS[section])}
        if types.get(name) == tuple[str, ...]:
            value = [part.strip() for part in value.split(",")]
    table = tables.setdefault(section, {})
    if isinstance(table, dict):
        table[name] = value


def _build(tables: Mapping[str, Any], source: str) -> ChipConfig:
    for section, table in tables.items():
        if section not in SECTIONS:
            raise ConfigError(f"[{section}]: unknown section{_meant(section, SECTIONS)}; allowed: {_list(SECTIONS)}")
        if not isinstance(table, dict):
            raise ConfigError(f"{section} = {show(table)}: write a section [{section}], not a value")

    parts: dict[str, Section] = {}
    for section, cls in SECTIONS.items():
        if cls is not ChipConfig:
            parts[section] = cls(**_known(cls, tables.get(section, {})))
    return ChipConfig(**_known(ChipConfig, tables.get("chip", {})), **parts, source=source)  # type: ignore[arg-type]


def _known(cls: type[Section], table: Mapping[str, Any]) -> dict[str, Any]:
    """The table, once its keys are known to be those of the section."""
    allowed = {f.name: f for f in options(cls)}
    for key, value in table.items():
        if key not in allowed:
            name = f"{cls.SECTION}.{key}"
            raise ConfigError(
                f"{name} = {show(value)}: unknown key{_meant(key, allowed)}; allowed in [{cls.SECTION}]: "
                f"{_list(allowed)}"
            )
    for key, f in allowed.items():
        if key not in table and f.default is MISSING:
            raise ConfigError(f"{cls.SECTION}.{key}: missing; give {allowed_values(f)} ({f.metadata['doc']})")
    return dict(table)


def _meant(word: str, words: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(words), n=1)
    return f", did you mean {close[0]}?" if close else ""


def _list(words: Iterable[str]) -> str:
    return ", ".join(words)


def page() -> str:
    """The text of ``docs/configuration.md``."""
    lines = [
        "# Configuration",
        "",
        "One TOML file describes a chip. Take a preset by its name or write a file of your own, and change single",
        "values on any command: `openppu info --config demo --set tile.rows=16 --set tile.formats=int8,bf16`.",
        "",
        "This page is generated: `python -m openppu.config > docs/configuration.md`.",
    ]
    for section, cls in SECTIONS.items():
        lines += ["", f"## [{section}]", "", "| key | give | unit | default | meaning |", "|---|---|---|---|---|"]
        for f in options(cls):
            default = "required" if f.default is MISSING else f"`{json.dumps(f.default)}`"
            unit, doc = f.metadata["unit"], f.metadata["doc"]
            lines.append(f"| `{f.name}` | {allowed_values(f)} | {unit} | {default} | {doc} |")

    chips = [load(name) for name in presets()]
    lines += [
        "",
        "## Presets",
        "",
        f"| key | {' | '.join(chip.name for chip in chips)} |",
        "|---" * (len(chips) + 1) + "|",
    ]
    for section, cls in SECTIONS.items():
        for f in options(cls):
            values = [getattr(chip if section == "chip" else getattr(chip, section), f.name) for chip in chips]
            cells = [" ".join(value) if isinstance(value, tuple) else shown(value) for value in values]
            lines.append(f"| `{section}.{f.name}` | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
