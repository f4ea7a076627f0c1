"""Registers on a simple bus, made from their description."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.register_map import REGISTER_BITS, Register


def access_layout(address_bits: int) -> data.StructLayout:
    """An access: the address in bytes; of a write, the bytes whose strobe is high."""
    return data.StructLayout({"address": address_bits, "write": 1, "data": REGISTER_BITS, "strobes": 4})


def answer_layout() -> data.StructLayout:
    """What a read found, or zeros; with ``error`` nothing was read or written."""
    return data.StructLayout({"data": REGISTER_BITS, "error": 1})


def value_of(members: Mapping[str, Any], source: Iterable[str]) -> Value:
    """The value that a register's source leads to; an array's element by its number."""
    first, *path = source
    value = members[first]
    for name in path:
        value = value[int(name) if name.isdigit() else name]
    return Value.cast(value)


def offset_of(layout: data.Layout, path: Iterable[str]) -> int:
    """Where the value is that a path leads to, in bits."""
    offset, shape = 0, layout
    for name in path:
        place = data.Layout.cast(shape)[int(name) if name.isdigit() else name]
        offset, shape = offset + place.offset, place.shape
    return offset


class RegisterBlock(wiring.Component):
    """Holds what is set, and shows what is.

    A register's source begins with ``control`` (it holds its value), ``status`` (it shows one), or ``strobes`` (a 1
    that is written is seen for one clock); a constant has none.

    Latency: 2 clocks from request to response. Throughput: one access a clock. Accesses take effect in their order.

    Parameters
    ----------
    registers : sequence of Register
    address_bits : int
        Of an address in bytes.
    control, status, strobes : StructLayout

    Members
    -------
    requests : In(stream of access_layout)
    responses : Out(stream of answer_layout)
        One for each request, writes too, in their order. ``error``: no register is there, it has no read or no
        write, or the value is none of those allowed.
    control : Out(control)
    status : In(status)
    strobes : Out(strobes)

    Raises
    ------
    ValueError
        If two registers have one offset, or a source begins with something else.
    """

    def __init__(
        self,
        registers: Sequence[Register],
        *,
        address_bits: int,
        control: data.StructLayout,
        status: data.StructLayout,
        strobes: data.StructLayout,
    ):
        offsets = [register.offset for register in registers]
        if len(set(offsets)) != len(offsets):
            raise ValueError("two registers have one offset")
        for register in registers:
            if register.source and register.source[0] not in ("control", "status", "strobes"):
                raise ValueError(f"register {register.name}: source {'.'.join(register.source)}: no such member")
        self.registers = tuple(registers)
        self.address_bits = address_bits
        held = 0
        for register in registers:
            if register.source[:1] == ("control",):
                held |= register.reset << offset_of(control, register.source[1:]) + register.low
        super().__init__(
            {
                "requests": In(stream.Signature(access_layout(address_bits))),
                "responses": Out(stream.Signature(answer_layout())),
                "control": Out(control, init=control.from_bits(held)),
                "status": In(status),
                "strobes": Out(strobes),
            }
        )

    def elaborate(self, platform):
        m = Module()
        request = Signal(access_layout(self.address_bits))
        pending, leave = Signal(), Signal()
        m.d.comb += [
            leave.eq(~self.responses.valid | self.responses.ready),
            self.requests.ready.eq(~pending | leave),
        ]
        with m.If(self.requests.ready):
            m.d.sync += [pending.eq(self.requests.valid), request.eq(self.requests.payload)]
        with m.If(leave):
            m.d.sync += self.responses.valid.eq(pending)

        members = {"control": self.control, "status": self.status, "strobes": self.strobes}
        found, least, most = (Signal(REGISTER_BITS, name=name) for name in ("found", "least", "most"))
        readable, writable = Signal(), Signal()
        for register in _in_case_of(m, request.address, self.registers):
            m.d.comb += [readable.eq(register.readable), writable.eq(register.writable)]
            if not register.source:
                m.d.comb += found.eq(register.reset)
            elif register.readable:
                m.d.comb += found.eq(_bits(members, register))
            if register.writable:
                m.d.comb += [least.eq(register.allowed[0]), most.eq(register.allowed[-1])]

        merged = Signal(REGISTER_BITS)
        # Most blocks allow zeros everywhere.
        reaches = (merged >= least) if any(each.allowed and each.allowed[0] for each in self.registers) else 1
        reads, writes = Signal(), Signal()
        for byte in range(REGISTER_BITS // 8):
            bits = slice(8 * byte, 8 * byte + 8)
            m.d.comb += merged[bits].eq(Mux(request.strobes[byte], request.data[bits], found[bits]))
        m.d.comb += [
            reads.eq(~request.write & readable),
            writes.eq(request.write & writable & reaches & (merged <= most)),
        ]
        with m.If(leave):
            m.d.sync += [
                self.responses.payload.data.eq(Mux(reads, found, 0)),
                self.responses.payload.error.eq(~reads & ~writes),
            ]
        with m.If(pending & leave & writes):
            for register in _in_case_of(m, request.address, [each for each in self.registers if each.writable]):
                if register.source[0] == "strobes":
                    m.d.comb += _bits(members, register).eq(merged)
                else:
                    m.d.sync += _bits(members, register).eq(merged)
        return m


MANY = 256
"""Registers, above which an address is decoded in two steps."""

PAGE_BITS = 9
"""Of an address in bytes, of the second step."""


def _in_case_of(m: Module, address: Value, registers: Sequence[Register]) -> Iterator[Register]:
    """Each register, while the module's statements are those of an access to it."""
    if len(registers) <= MANY:
        with m.Switch(address):
            for register in registers:
                with m.Case(register.offset):
                    yield register
        return
    pages: dict[int, list[Register]] = {}
    for register in registers:
        pages.setdefault(register.offset >> PAGE_BITS, []).append(register)
    with m.Switch(address[PAGE_BITS:]):
        for page, those in pages.items():
            with m.Case(page), m.Switch(address[:PAGE_BITS]):
                for register in those:
                    with m.Case(register.offset & ((1 << PAGE_BITS) - 1)):
                        yield register


def _bits(members: Mapping[str, Any], register: Register) -> Value:
    return value_of(members, register.source)[register.low : register.low + register.bits]
