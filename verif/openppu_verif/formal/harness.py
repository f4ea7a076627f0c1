"""What proofs are made of: free inputs, past values, stream rules, and one watched item among many."""

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.asserts import AnyConst
from amaranth.hdl import Assert, Assume, ValueLike
from amaranth.lib import stream, wiring


class Harness:
    """A module with the design under proof, and inputs that have any value. Reset is one of them: it comes at any time.

    Attributes
    ----------
    m : Module
        Assertions must hold in every cycle in which all assumptions hold and have held.
    ports : list of Signal
        The free inputs and the taps, for `openppu_verif.formal.proof`.
    taps : dict of str to str
        Ports that are no inputs, but show a register of the flattened design: a row of a memory.
    """

    def __init__(self) -> None:
        self.m = Module()
        self.ports: list[Signal] = []
        self.taps: dict[str, str] = {}

    def free(self, name: str, width: int = 1) -> Signal:
        """An input with any value in any cycle."""
        port = Signal(width, name=name)
        self.ports.append(port)
        return port

    def fixed(self, name: str, width: int) -> Signal:
        """An input with any value, the same in all cycles."""
        port = self.free(name, width)
        self.m.d.comb += Assume(port == AnyConst(width))
        return port

    def drive(self, **targets: ValueLike) -> None:
        """Let each target, by the name that traces show, have any value in any cycle."""
        for name, target in targets.items():
            value = Value.cast(target)
            self.m.d.comb += value.eq(self.free(name, len(value)))

    def source(self, name: str, target: stream.Interface) -> None:
        """Offer anything at any time on a stream into the design."""
        self.drive(**{f"{name}_valid": target.valid, f"{name}_payload": target.payload})

    def drive_outputs(self, name: str, component: wiring.Component) -> None:
        """Let each output of a part that was taken out of the design have any value in any cycle."""
        for path, member, value in component.signature.flatten(component):
            if member.flow is wiring.Out:
                self.drive(**{"_".join((name, *map(str, path))): value})

    def memory(self, path: str, *, rows: int, width: int) -> list[Value]:
        """The rows of the memory at ``path``: names of sub-modules with dots between."""
        shown: list[Value] = []
        for row in range(rows):
            port = self.free(f"{path.replace('.', '_')}_{row}", width)
            self.taps[port.name] = f"{path}[{row}]"
            shown.append(port)
        return shown

    def history(self, value: ValueLike, cycles: int, name: str, *, forget: bool = True) -> list[Value]:
        """``value`` now, one cycle ago, and so on: ``cycles`` + 1 values. A reset clears the past if ``forget``."""
        past = [Value.cast(value)]
        for age in range(1, cycles + 1):
            before = Signal(len(past[0]), name=f"{name}_{age}", reset_less=not forget)
            self.m.d.sync += before.eq(past[-1])
            past.append(before)
        return past

    def check(self, *conditions: ValueLike, when: Value | None = None) -> None:
        """Assert each condition, in the cycles in which ``when`` holds."""
        for condition in conditions:
            self.m.d.comb += Assert(condition if when is None else ~when | condition)

    def check_waits(self, name: str, source: stream.Interface) -> None:
        """The stream rule: what is offered and not taken is offered again, unchanged."""
        payload = Value.cast(source.payload)
        waiting = Signal(name=f"{name}_waiting")
        kept = Signal(len(payload), name=f"{name}_kept")
        self.m.d.sync += [waiting.eq(source.valid & ~source.ready), kept.eq(payload)]
        self.check(source.valid, payload == kept, when=waiting)


class Watch:
    """Counts the items in a queue, and follows one of them, freely chosen, to the place where it must come out.

    What holds for the watched item holds for each: a queue that is right about it neither loses, nor repeats, nor swaps
    any.

    Parameters
    ----------
    harness : Harness
    name : str
        What traces call it.
    item : ValueLike
        What goes in ...
    enters, leaves : Value
        ... when one does, and when one comes out.
    most : int
        The most items inside.

    Attributes
    ----------
    count : Signal
        Items inside.
    item : Signal
        The watched one ...
    inside : Signal
        ... which is in the queue now,
    place : Signal
        so many before it,
    is_next : Signal
        or none.
    """

    def __init__(
        self, harness: Harness, name: str, item: ValueLike, *, enters: Value, leaves: Value, most: int
    ) -> None:
        m = harness.m
        value = Value.cast(item)
        self.count = Signal(range(most + 1), name=f"{name}_count")
        self.item = Signal(len(value), name=f"{name}_item")
        self.inside = Signal(name=f"{name}_inside")
        self.place = Signal(range(most + 1), name=f"{name}_place")
        self.is_next = Signal(name=f"{name}_is_next")
        chosen = harness.free(f"{name}_chosen")
        m.d.comb += self.is_next.eq(self.inside & (self.place == 0))
        m.d.sync += self.count.eq(self.count + enters - leaves)
        with m.If(self.inside):
            m.d.sync += [self.place.eq(self.place - leaves), self.inside.eq(~(leaves & self.is_next))]
        with m.Elif(enters & chosen):
            m.d.sync += [self.inside.eq(1), self.item.eq(value), self.place.eq(self.count - leaves)]
        harness.check(self.count <= most)
        harness.check(self.place < self.count, when=self.inside)


def choose(options: list[Value], index: Value) -> Value:
    """The option at ``index``; the last one past the end."""
    result = options[-1]
    for place, option in reversed(list(enumerate(options[:-1]))):
        result = Mux(index == place, option, result)
    return result


def modulo(value: Value, size: int) -> Value:
    """``value`` modulo ``size``, if it is less than twice that."""
    return Mux(value >= size, value - size, value)


def ones(value: Value) -> Value:
    """How many bits are set."""
    total: Value = Const(0)
    for bit in value:
        total = total + bit
    return total


def bits(*values: ValueLike) -> Value:
    """One value of several, the first in the low bits."""
    return Cat(*(Value.cast(value) for value in values))
