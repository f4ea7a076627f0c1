"""The parts of a chip that are emitted as a file each."""

from collections.abc import Callable
from dataclasses import dataclass

from amaranth.lib import wiring

from openppu.chip.chip import Chip, queues_of
from openppu.command.instructions import instructions
from openppu.command.processor import CommandProcessor
from openppu.command.registers import MOST_QUEUES
from openppu.config import ChipConfig, ConfigError
from openppu.dma.load_engine import LoadEngine
from openppu.dma.store_engine import StoreEngine
from openppu.formats.add32 import Add32
from openppu.formats.binary32_to_int32 import Binary32ToInt32
from openppu.formats.fma32 import FusedMultiplyAdd
from openppu.formats.int32_to_binary32 import Int32ToBinary32
from openppu.formats.mul32 import Multiply32
from openppu.formats.narrow import Narrow
from openppu.formats.operand import formats_named
from openppu.formats.requantise import Requantise
from openppu.formats.spec import Format
from openppu.formats.widen import Widen
from openppu.hbm.axi_channel import AxiController
from openppu.hbm.controller import Controller
from openppu.hbm.settings import first_settings
from openppu.hbm.stack_interleave import StackInterleave
from openppu.hbm.status import PowerUp
from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.engine import CollectiveEngine
from openppu.link.gearbox import Gearbox
from openppu.link.port import Port
from openppu.matmul.engine import MatmulEngine
from openppu.noc.noc import Noc
from openppu.noc.plan import Plan
from openppu.scratchpad.scratchpad import Scratchpad
from openppu.tile.cell import Cell
from openppu.tile.tile import Tile
from openppu.vector.engine import MOST_WORD_BYTES, VectorEngine
from openppu.vector.lane import Lane
from openppu.verilog import Verilog, emit


@dataclass(frozen=True)
class Part:
    """A component that stands by itself: what it is, how it is made for a chip, and which chips have a use for it."""

    description: str
    component: Callable[[ChipConfig], wiring.Component]
    fits: Callable[[ChipConfig], bool] = lambda chip: True


def floats(chip: ChipConfig) -> tuple[Format, ...]:
    """The float formats of a chip's tile.

    Raises
    ------
    ConfigError
        If there are none.
    """
    formats = tuple(fmt for fmt in formats_named(chip.tile.formats) if fmt.is_float)
    if not formats:
        given = ", ".join(chip.tile.formats)
        raise ConfigError(f"tile.formats = {given}: this part converts floats; add one, such as bf16")
    return formats


def has_float(chip: ChipConfig) -> bool:
    """Whether a chip's tile has a float format."""
    return chip.tile.has_float


def has_even_tile(chip: ChipConfig) -> bool:
    """Whether a chip's tile has powers of two of rows and columns."""
    return chip.tile.rows.bit_count() == chip.tile.columns.bit_count() == 1


def hbm_start(chip: ChipConfig) -> PowerUp:
    """What the registers of a chip's memory controllers hold after a reset."""
    return PowerUp(settings=first_settings(chip.hbm))


def has_link(chip: ChipConfig) -> bool:
    """Whether a chip has a port to others."""
    return chip.link.ports > 0


def has_vector(chip: ChipConfig) -> bool:
    """Whether there may be a lane for all of a scratchpad word."""
    return chip.scratchpad.word_bytes <= MOST_WORD_BYTES


def link_port(chip: ChipConfig) -> Port:
    """A port of a chip's link.

    Raises
    ------
    ConfigError
        If the chip has none.
    """
    if not has_link(chip):
        raise ConfigError("link.ports = 0: this chip has no link; give 1 to 7")
    return Port(chip.link)


def has_gearbox(chip: ChipConfig) -> bool:
    """Whether there is something between a port's words and those of its SerDes."""
    return has_link(chip) and chip.link.serdes_bits > 0


def link_gearbox(chip: ChipConfig) -> Gearbox:
    """The gearbox beside a port of a chip's link.

    Raises
    ------
    ConfigError
        If the chip has none.
    """
    if not has_gearbox(chip):
        raise ConfigError(
            f"link.ports = {chip.link.ports}, link.serdes_bits = {chip.link.serdes_bits}: this chip has no gearbox; "
            "give 1 port or more, and the bits of a word of the SerDes, such as 40"
        )
    return Gearbox(chip.link)


def collective_engine(chip: ChipConfig) -> CollectiveEngine:
    """The engine of collectives beside a chip's link.

    Raises
    ------
    ConfigError
        If the chip has no link, or one too narrow.
    """
    return CollectiveEngine(CollectiveConfig(link=chip.link))


SCRATCHPAD_PORTS = 9
"""Of a compute unit: three of the matmul engine, three of the vector unit, load and store, the network."""


def noc_plan(chip: ChipConfig) -> Plan:
    """A chip's network: each compute unit loads, stores and can be reached; one more port for all the rest."""
    units = chip.compute_units
    return Plan(noc=chip.noc, hbm=chip.hbm, scratchpad=chip.scratchpad, initiators=2 * units + 1, units=units)


def is_small(chip: ChipConfig) -> bool:
    """Whether the ports of a chip's network fit a module of their own: Amaranth knows 65,536 bits of inputs."""
    return chip.compute_units <= MOST_UNITS


def noc(chip: ChipConfig) -> Noc:
    """The network of a chip.

    Raises
    ------
    ConfigError
        If it is too large for a module of its own.
    """
    if not is_small(chip):
        raise ConfigError(
            f"chip.compute_units = {chip.compute_units}: the network's ports are too many for a module of their own; "
            f"give at most {MOST_UNITS}"
        )
    return Noc(noc_plan(chip))


MOST_UNITS = 16
"""Compute units of a network that is emitted by itself."""


def has_queues_enough(chip: ChipConfig) -> bool:
    """Whether one command processor has a queue for every engine of a chip."""
    return len(queues_of(chip)) <= MOST_QUEUES


def whole_chip(chip: ChipConfig) -> Chip:
    """All of a chip.

    Raises
    ------
    ConfigError
        If it has too many compute units for its command processor.
    """
    _check_queues(chip)
    return Chip(chip, start=hbm_start(chip))


def command_processor(chip: ChipConfig) -> CommandProcessor:
    """A chip's command processor; errors as of `whole_chip`."""
    _check_queues(chip)
    return CommandProcessor(chip.command, instructions(), queues_of(chip))


def _check_queues(chip: ChipConfig) -> None:
    if not has_queues_enough(chip):
        raise ConfigError(
            f"chip.compute_units = {chip.compute_units}: {len(queues_of(chip))} queues; the command processor has "
            f"{MOST_QUEUES} at most"
        )


HBM_ID_BITS = 6
"""Width of AXI's IDs."""

PARTS = {
    "chip": Part("the whole chip", whole_chip, has_queues_enough),
    "command_processor": Part("rings of commands, semaphores and records", command_processor, has_queues_enough),
    "tile": Part("the systolic matmul tile", lambda chip: Tile(chip.tile)),
    "pe": Part("one processing element of the tile's array", lambda chip: Cell(chip.tile)),
    "add32": Part("a + b in binary32", lambda chip: Add32()),
    "mul32": Part("a * b in binary32", lambda chip: Multiply32()),
    "fma32": Part("a * b + c in binary32, rounded once", lambda chip: FusedMultiplyAdd()),
    "int32_to_binary32": Part("int32, rounded to binary32", lambda chip: Int32ToBinary32()),
    "binary32_to_int32": Part("binary32, rounded to int32", lambda chip: Binary32ToInt32()),
    "narrow": Part(
        "binary32, rounded to the tile's float formats", lambda chip: Narrow(formats=floats(chip)), has_float
    ),
    "widen": Part("the tile's float formats to binary32", lambda chip: Widen(formats=floats(chip)), has_float),
    "requantise": Part("int32 or binary32, scaled to int8", lambda chip: Requantise()),
    "vector": Part("the vector unit of a compute unit", VectorEngine, has_vector),
    "vector_lane": Part("the arithmetic of one lane of a vector unit", lambda chip: Lane()),
    "scratchpad": Part(
        "the memory of a compute unit", lambda chip: Scratchpad(chip.scratchpad, ports=SCRATCHPAD_PORTS)
    ),
    "dma_load": Part("the DMA engine from memory to a scratchpad", LoadEngine),
    "dma_store": Part("the DMA engine from a scratchpad to memory", StoreEngine),
    "matmul": Part("the tile, fed from the scratchpad", lambda chip: MatmulEngine(chip), has_even_tile),
    "hbm": Part(
        "the controller of one HBM2e channel", lambda chip: Controller(chip.hbm.channel, start=hbm_start(chip))
    ),
    "hbm_interleave": Part(
        "an address of the chip to its stack, channel and address there",
        lambda chip: StackInterleave(
            stacks=chip.hbm.stacks, channels=chip.hbm.channels, accesses=chip.hbm.channel.accesses, tag_bits=HBM_ID_BITS
        ),
    ),
    "noc": Part("the network between engines and memories", noc, is_small),
    "link_port": Part("one port of the link to other chips", link_port, has_link),
    "link_gearbox": Part(
        "between a port of the link and a SerDes with words of another width", link_gearbox, has_gearbox
    ),
    "collective_engine": Part("the engine of collectives over the link", collective_engine, has_link),
    "hbm_axi": Part(
        "hbm, with AXI4 ports",
        lambda chip: AxiController(chip.hbm.channel, id_bits=HBM_ID_BITS, start=hbm_start(chip)),
    ),
}


def parts_of(chip: ChipConfig) -> list[str]:
    """Names of the parts that a chip has a use for."""
    return [name for name, part in PARTS.items() if part.fits(chip)]


def emit_part(name: str, chip: ChipConfig) -> Verilog:
    """The Verilog of a part of ``PARTS``; its top module bears the part's name.

    Raises
    ------
    ConfigError
        If the chip has no use for the part.
    """
    return emit(PARTS[name].component(chip), top=name, config=chip)
