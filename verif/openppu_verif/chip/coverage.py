"""What random programs are to have in them, counted."""

from collections.abc import Iterator, Mapping

from openppu.command.error import Error
from openppu.command.instruction import InstructionSet
from openppu.config import ChipConfig
from openppu.formats.spec import FORMATS
from openppu.vector.command import ACCUMULATORS
from openppu_sim.lowering.matmul import Addend, Result
from openppu_sim.program.command import Command
from openppu_sim.reference import dma
from openppu_sim.reference.command import Interpreter

from openppu_verif.chip.program_source import QUEUES, Program

NAMES = {**{fmt.code: name for name, fmt in FORMATS.items()}, dma.INT32_CODE: "int32", 7: "word"}
ENGINE_ERRORS = ("OPCODE", "FIELD", "ALIGNMENT", "BOUNDS", "FORMAT")
REFUSED = {**dict.fromkeys(QUEUES[:4], ENGINE_ERRORS), "link": ("OPCODE", "FIELD", "ALIGNMENT", "BOUNDS")}
KINDS = ("loop", "loop in a loop", "relay", "semaphore")
MARKS = ("wait", "signal", "fence", "record", "interrupt")
CONTROLS = ("NOTHING", "SET", "ADD", "LOOP", "END")


def all_points(chip: ChipConfig) -> list[str]:
    """Every point that programs on a chip can reach."""
    turned = ("A B", "AT B", "A BT", "AT BT")
    found = [f"{queue} {name}" for queue in QUEUES for name in CONTROLS]
    found += [f"mark {mark}" for mark in MARKS] + [f"step {kind}" for kind in KINDS]
    found += [f"MATMUL {name} {turn}" for name in chip.tile.formats for turn in turned]
    found += [f"MATMUL addend {each.name}" for each in Addend] + [f"MATMUL result {each.name}" for each in Result]
    found += ["MATMUL relu", *(["MATMUL stochastic"] if chip.matmul.stochastic else [])]
    for name in (*dma.LOADS, *dma.STORES):
        found.append(name)
        if not name.startswith("FILL"):
            found += [f"{name} converts {each}" for each in NAMES.values() if each in _kept(chip)]
    found += ["LOAD transposes", "STORE transposes", "LOAD of a scratchpad", "STORE to a scratchpad"]
    found += ["VECTOR_PROGRAM", "VECTOR_RUN"]
    vector = ("int8", *chip.vector.formats, "word")
    found += [f"VECTOR_STREAM {way} {name}" for way in ("in", "out") for name in vector]
    found += ["VECTOR_STREAM single", "VECTOR_STREAM tail", "VECTOR_STREAM held", "VECTOR_STREAM of accumulators"]
    found += ["address from a register"]
    return found + [f"{queue} refuses {error}" for queue, errors in REFUSED.items() for error in errors]


def points(program: Program, machine: Interpreter, known: InstructionSet) -> list[str]:
    """Those that a program has reached: of commands, those that were done."""
    found = [] if program.broken else [f"step {kind}" for kind in program.kinds]
    for name, queue in zip(QUEUES, machine.queues, strict=True):
        # Where a queue ended within a loop, what is before is not all that was done; what counts is that it was.
        end = queue.place if queue.error is None else queue.error[1]
        for command in queue.program[:end]:
            if isinstance(command, Command):
                found += _of_command(name, command, known)
        if queue.error is not None:
            found.append(f"{name} refuses {Error(queue.error[0]).name}")
    return found


def _of_command(queue: str, command: Command, known: InstructionSet) -> Iterator[str]:
    name, fields = command.name, {each.name: 0 for each in known.by_name[command.name].operands} | dict(command.fields)
    yield from (f"mark {mark}" for mark in MARKS if getattr(command, mark))
    if command.registers:
        yield "address from a register"
    if name in CONTROLS:
        yield f"{queue} {name}"
    elif name == "MATMUL":
        yield from _of_product(fields)
    elif name.startswith("VECTOR"):
        yield from _of_vector(name, fields)
    else:
        yield from _of_copy(name, fields)


def _of_product(fields: Mapping[str, int]) -> Iterator[str]:
    turn = f"A{'T' * fields['transpose_a']} B{'T' * fields['transpose_b']}"
    yield f"MATMUL {NAMES[fields['format']]} {turn}"
    yield f"MATMUL addend {Addend(fields['addend']).name}"
    yield f"MATMUL result {Result(fields['result']).name}"
    yield from (f"MATMUL {each}" for each in ("relu", "stochastic") if fields[each])


def _of_copy(name: str, fields: Mapping[str, int]) -> Iterator[str]:
    yield name
    if fields.get("source") != fields.get("target"):
        yield f"{name} converts {NAMES[fields['source']]}"
    if fields.get("transpose"):
        yield f"{name} transposes"
    if fields.get("memory", 0) >= dma.REMOTE:
        yield "LOAD of a scratchpad" if name == "LOAD" else "STORE to a scratchpad"


def _of_vector(name: str, fields: Mapping[str, int]) -> Iterator[str]:
    if name != "VECTOR_STREAM":
        yield name
        return
    yield f"VECTOR_STREAM {'in' if fields['stream'] < 4 else 'out'} {NAMES[fields['format']]}"
    yield from (f"VECTOR_STREAM {each}" for each in ("single", "tail", "held") if fields[each])
    if fields["base"] >= ACCUMULATORS:
        yield "VECTOR_STREAM of accumulators"


def _kept(chip: ChipConfig) -> tuple[str, ...]:
    return ("int8", "int32", "word", *(name for name in chip.tile.formats if FORMATS[name].is_float))
