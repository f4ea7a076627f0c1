"""Small components that hold everything emission must know, and some things it must refuse."""

from amaranth import Array, C, Cat, ClockSignal, Module, Mux, ResetSignal, Signal, signed, unsigned
from amaranth.hdl import ClockDomain
from amaranth.lib import data, enum, fifo, memory, wiring
from amaranth.lib.wiring import In, Out
from openppu.common.shared import shared

NUMBERS = data.StructLayout({"a": unsigned(7), "b": signed(5), "kind": 2})


class Colour(enum.Enum, shape=2):
    """For a switch over names."""

    RED = 0
    GREEN = 1
    BLUE = 3


class Operators(wiring.Component):
    """Every operator, signed and unsigned, with operands of different widths."""

    a: In(7)
    b: In(signed(5))
    c: In(signed(9))
    place: In(3)
    results: Out(data.ArrayLayout(16, 36))

    def elaborate(self, platform):
        m = Module()
        a, b, c, place = self.a, self.b, self.c, self.place
        values = [a + b, a - b, a * b, b * c, b - c, -b, ~a, a & b, a | c, a ^ b, b + c + 3, (a + 1)[:7]]
        values += [a == b, a != 3, b < c, a < c, a >= 9, b <= -1, c > b, a[:3] == 0, b == c]
        values += [a.any(), a.all(), c.xor(), a << place, a >> place, c >> place, (b << place)[:6]]
        values += [a.bit_select(place, 2), c.word_select(place[:2], 3), Mux(place[0], b, c), Mux(a > b, a, 0)]
        values += [Cat(a + b, a * c)[5:15], (a + place) & C(0b1010, 4)]
        values += [(place | Cat(C(0, 4), a * b))[:4]]
        values += [Cat(a[:0].all() & a[0], a[:0].any() | a[1], a[:0].xor() ^ a[2])]
        for index, value in enumerate(values):
            m.d.comb += self.results[index].eq(value)
        return m


class Statements(wiring.Component):
    """Nested conditions, overlapping and partial assignments, structs, and registers with and without a reset."""

    i: In(NUMBERS)
    colour: In(Colour)
    go: In(1)
    o: Out(NUMBERS)
    state: Out(8, init=0x5A)
    count: Out(4)
    free: Out(6)
    mixed: Out(6)
    held: Out(NUMBERS)
    chosen: Out(4)
    count_again: Out(4)

    def elaborate(self, platform):
        m = Module()
        free = Signal(6, reset_less=True)
        m.d.comb += self.count_again.eq(self.count)
        m.d.comb += [self.o.a.eq(self.i.a + 1), self.o.b.eq(self.o.a[1:5]), self.free.eq(free)]
        with m.If(self.go):
            m.d.sync += [self.count.eq(self.count + 1), self.state[:4].eq(self.i.a), self.held.a.eq(self.i.a)]
            with m.If(self.i.kind == 2):
                m.d.sync += [self.state.eq(~self.state), free[2:4].eq(self.count)]
                m.d.comb += self.o.kind.eq(3)
            with m.Elif(self.i.b < 0):
                m.d.sync += self.count.eq(0)
        with m.Elif(self.i.a[0]):
            m.d.sync += [self.state[6:].eq(1), free.eq(free + self.i.b)]
        with m.Switch(self.colour):
            with m.Case(Colour.RED):
                m.d.comb += self.mixed.eq(self.i.a)
            with m.Case(Colour.GREEN, Colour.BLUE):
                m.d.comb += self.mixed[1:3].eq(self.state)
        with m.If(self.count == 7):
            m.d.comb += self.mixed[5].eq(1)
        with m.Switch(self.i.a):
            with m.Case("1--0---", "0000---"):
                m.d.comb += self.chosen.eq(0)
            with m.Case("-1-----"):
                m.d.comb += self.chosen.eq(5)
            with m.Case(3):
                m.d.comb += self.chosen.eq(self.count)
            with m.Default():
                m.d.comb += self.chosen.eq(0)
        return m


class Table(wiring.Component):
    """A memory that is never written, read at once and in the next cycle."""

    place: In(3)
    now: Out(8)
    next: Out(8)

    def elaborate(self, platform):
        m = Module()
        m.submodules.table = table = memory.Memory(shape=8, depth=8, init=[2, 7, 1, 8, 2, 8])
        now, later = table.read_port(domain="comb"), table.read_port()
        m.d.comb += [
            now.addr.eq(self.place),
            later.addr.eq(self.place),
            self.now.eq(now.data),
            self.next.eq(later.data),
        ]
        return m


class Memories(wiring.Component):
    """A memory with initial words and part writes, queues of Amaranth's, one of them with a memory of one row, a choice
    among values of no bits, and an asynchronous read."""

    address: In(3)
    value: In(8)
    enable: In(2)
    read: Out(8)
    now: Out(8)
    taken: Out(5)
    ready: Out(1)
    little: Out(3)
    chosen: Out(3)

    def elaborate(self, platform):
        m = Module()
        m.submodules.little_queue = short = fifo.SyncFIFOBuffered(width=3, depth=2)
        m.d.comb += [short.w_data.eq(self.value), short.w_en.eq(self.enable[1]), short.r_en.eq(self.value[6])]
        m.d.comb += [
            self.little.eq(short.r_data),
            self.chosen.eq(Cat(Array([C(0, 0), C(0, 0)])[self.value[0]], self.value[:3])),
        ]
        m.submodules.store = store = memory.Memory(shape=8, depth=8, init=[3, 1, 4, 1, 5])
        m.submodules.queue = queue = fifo.SyncFIFOBuffered(width=5, depth=3)
        write = store.write_port(granularity=4)
        ports = store.read_port(), store.read_port(domain="comb")
        m.d.comb += [write.addr.eq(self.address), write.data.eq(self.value), write.en.eq(self.enable)]
        m.d.comb += [port.addr.eq(self.address ^ 1) for port in ports]
        m.d.comb += [ports[0].en.eq(self.enable[0]), self.read.eq(ports[0].data), self.now.eq(ports[1].data)]
        m.d.comb += [queue.w_data.eq(self.value), queue.w_en.eq(self.enable[1]), queue.r_en.eq(self.value[7])]
        m.d.comb += [self.taken.eq(queue.r_data), self.ready.eq(queue.w_rdy)]
        return m


class Leaf(wiring.Component):
    """Adds ``amount``, a cycle later."""

    def __init__(self, amount: int):
        self.amount = amount
        super().__init__({"i": In(6), "o": Out(6), "parity": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.o.eq(self.i + self.amount)
        m.d.comb += self.parity.eq(self.i.xor())
        return m


class Tree(wiring.Component):
    """Uses three leaves of two kinds, one of whose outputs nothing looks at."""

    i: In(6)
    o: Out(6)
    parity: Out(1)

    def elaborate(self, platform):
        m = Module()
        value = self.i
        for index, amount in enumerate((1, 2, 1)):
            leaf = Leaf(amount)
            m.submodules[f"leaf_{index}"] = shared(leaf, platform)
            m.d.comb += leaf.i.eq(value)
            value = leaf.o
            m.d.comb += self.parity.eq(leaf.parity)
        m.d.comb += self.o.eq(value ^ self.i)
        return m


class OneOfOne(wiring.Component):
    """A choice among one: numbers of no bits are chosen by, kept, and given on."""

    i: In(4)
    o: Out(4)

    def elaborate(self, platform):
        m = Module()
        number, last = Signal(range(1)), Signal(range(1))
        with m.If(self.i[0]):
            m.d.sync += last.eq(number)
            m.d.comb += number.eq(last)
        m.d.sync += self.o.eq(Array([self.i])[number])
        with m.Switch(last):
            with m.Case(0):
                m.d.sync += self.o.eq(~self.i)
        return m


class KeywordPort(wiring.Component):
    """A port that Verilog could not name."""

    time: In(1)
    o: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.eq(~self.time)
        return m


class FallingEdge(wiring.Component):
    """A clock that Verilog is not written for."""

    o: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.domains.falling = ClockDomain(clk_edge="neg", local=True)
        m.d.comb += [ClockSignal("falling").eq(ClockSignal()), ResetSignal("falling").eq(ResetSignal())]
        m.d.falling += self.o.eq(~self.o)
        return m


class Division(wiring.Component):
    """An operator that Verilog is not written for."""

    a: In(4)
    b: In(4)
    o: Out(4)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.eq(self.a // self.b)
        return m


class Transparent(wiring.Component):
    """A read port that sees what is written in the same cycle, for which Verilog is not written."""

    address: In(2)
    o: Out(4)

    def elaborate(self, platform):
        m = Module()
        m.submodules.store = store = memory.Memory(shape=4, depth=4, init=[])
        write = store.write_port()
        read = store.read_port(transparent_for=(write,))
        m.d.comb += [write.en.eq(1), write.data.eq(self.address), read.addr.eq(self.address), self.o.eq(read.data)]
        return m
