"""Bits of lanes keep their order through a change of width and clock, and ports train over it."""

import random
from math import ceil, lcm
from typing import Any

import pytest
from amaranth import Cat, DomainRenamer, Module, Signal
from amaranth.lib import wiring
from amaranth.sim import Simulator
from openppu.link.config import LinkConfig
from openppu.link.gearbox import Gearbox
from openppu.link.physical import PhysicalLayer
from openppu.link.regroup import Regroup
from openppu.link.training import State
from pair import SHORT

WIDTHS = [(32, 40), (40, 32), (16, 20), (20, 16), (64, 80), (80, 64), (16, 80), (80, 16), (64, 20)]


def passed(
    given: int,
    taken: int,
    *,
    clocks: int,
    pause: float = 0,
    phase: float = 0.3,
    faster: float = 0,
    late: int = 0,
    seed: int = 1,
) -> dict[str, Any]:
    """Random words through a `Regroup` of two lanes, the clocks as the widths; what came out, and when."""
    dut = Regroup(lanes=2, given=given, taken=taken)
    random_ = random.Random(seed)
    found: dict[str, Any] = {"sent": [], "came": [], "when": [], "overflows": 0}
    simulator = Simulator(dut)
    simulator.add_clock(1e-9 * given * (1 - faster), domain="sync")
    simulator.add_clock(1e-9 * taken, domain="far", phase=1e-9 * taken * phase)

    async def give(ctx: Any) -> None:
        for clock in range(clocks):
            valid = random_.random() >= pause and clock != late - 1
            words = [random_.getrandbits(given) for _ in range(2)]
            ctx.set(dut.i, words)
            ctx.set(dut.i_valid, valid)
            if valid:
                found["sent"].append(words)
            found["overflows"] += ctx.get(dut.overflow)
            await ctx.tick()
        ctx.set(dut.i_valid, 0)
        await ctx.tick().repeat(40)

    async def take(ctx: Any) -> None:
        clock = 0
        while True:
            if ctx.get(dut.o_valid):
                found["came"].append([ctx.get(dut.o[lane]) for lane in range(2)])
                found["when"].append(clock)
            await ctx.tick("far")
            clock += 1

    simulator.add_testbench(give)
    simulator.add_testbench(take, background=True)
    simulator.run()
    return found


def bits(words: list[list[int]], width: int, lane: int) -> str:
    """First bit first."""
    return "".join(format(word[lane], f"0{width}b")[::-1] for word in words)


@pytest.mark.parametrize(("given", "taken"), WIDTHS)
@pytest.mark.parametrize(("pause", "phase"), [(0, 0.9), (0.4, 0.5)])
def test_bits_keep_their_order(given: int, taken: int, pause: float, phase: float) -> None:
    found = passed(given, taken, clocks=250, pause=pause, phase=phase, seed=given + taken)
    assert found["overflows"] == 0
    group = lcm(given, taken)
    whole = len(found["sent"]) * given // group * group
    for lane in range(2):
        came = bits(found["came"], taken, lane)
        assert came == bits(found["sent"], given, lane)[:whole]
    if not pause:
        assert found["when"] == list(range(found["when"][0], found["when"][0] + len(found["when"])))


@pytest.mark.parametrize(("given", "taken"), WIDTHS)
def test_latency_is_what_it_says(given: int, taken: int) -> None:
    group = lcm(given, taken)
    sync, far = group // given, group // taken
    phases = (0.05, 0.3, 0.55, 0.8, 0.999)
    # The simulator's first edge of ``sync`` is half a clock after its beginning.
    crossed = (sync + 0.5) * given / taken
    edges = set()
    for phase in phases:
        when = passed(given, taken, clocks=50, phase=phase)["when"][0] - 1
        edges.add(when - ceil(crossed - phase) + 1 - far)
    assert edges == {3}


@pytest.mark.parametrize(("given", "taken"), [(32, 40), (40, 32), (64, 80), (20, 16)])
def test_a_word_that_is_late_once_makes_no_gap(given: int, taken: int) -> None:
    when = passed(given, taken, clocks=250, late=100)["when"]
    assert when == list(range(when[0], when[0] + len(when)))


def test_more_bits_than_can_be_taken_are_told() -> None:
    found = passed(32, 40, clocks=600, faster=0.2)
    assert found["overflows"] > 0


class Pair(wiring.Component):
    """Two physical layers, gearboxes, and lines between that cut words at other bits; a clock for all of a kind."""

    def __init__(self, config: LinkConfig, slips: tuple[int, int]):
        self.layers = [PhysicalLayer(config) for _ in range(2)]
        self.gearboxes = [Gearbox(config) for _ in range(2)]
        self.config = config
        self.slips = slips
        super().__init__({})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits = self.config.serdes_bits
        for place, (layer, gearbox) in enumerate(zip(self.layers, self.gearboxes, strict=True)):
            renamed = {"rx": "sync", "serdes_rx": "serdes"}
            m.submodules[f"layer_{place}"] = DomainRenamer(renamed)(layer)
            m.submodules[f"gearbox_{place}"] = DomainRenamer(renamed)(gearbox)
            wiring.connect(m, layer.serdes, gearbox.port)
        for near, far in (self.gearboxes, self.gearboxes[::-1]):
            for lane in range(self.config.lanes):
                last, slip = Signal(bits, name=f"last_{lane}"), self.slips[lane % 2]
                m.d.serdes += last.eq(near.serdes.send[lane])
                m.d.serdes += far.serdes.receive[lane].eq(Cat(last, near.serdes.send[lane])[slip : slip + bits])
            m.d.comb += [far.serdes.receive_valid.eq(-1), far.serdes.signal.eq(~near.serdes.send_idle)]
        return m


@pytest.mark.parametrize(
    ("lane_bits", "serdes_bits", "recovered"), [(16, 20, False), (32, 40, False), (32, 40, True), (64, 20, False)]
)
def test_ports_train_and_flits_arrive(lane_bits: int, serdes_bits: int, recovered: bool) -> None:
    config = LinkConfig(
        ports=1, lanes=2, lane_bits=lane_bits, serdes_bits=serdes_bits, recovered_clock=recovered, skew_words=32
    )
    dut = Pair(config, (3, serdes_bits - 1))
    simulator = Simulator(dut)
    simulator.add_clock(1e-9 * lane_bits, domain="sync")
    simulator.add_clock(1e-9 * serdes_bits, domain="serdes", phase=0.4e-9 * serdes_bits)
    came: list[list[int]] = [[], []]

    async def testbench(ctx: Any) -> None:
        given = [0, 0]
        for layer in dut.layers:
            ctx.set(layer.settings, SHORT.values())
        for _ in range(1500):
            for place, layer in enumerate(dut.layers):
                beat = given[place] % config.beats
                ctx.set(layer.transmit.payload.data, given[place])
                ctx.set(layer.transmit.payload.first, beat == 0)
                ctx.set(layer.transmit.payload.last, beat == config.beats - 1)
                ctx.set(layer.transmit.valid, 1)
                ctx.set(layer.flit_good, ctx.get(layer.receive_valid) and ctx.get(layer.receive.last))
                given[place] += ctx.get(layer.transmit.ready)
                if ctx.get(layer.receive_valid):
                    came[place].append(ctx.get(layer.receive.data))
            await ctx.tick()
        assert [State(ctx.get(layer.status.state)) for layer in dut.layers] == [State.ACTIVE] * 2

    simulator.add_testbench(testbench)
    simulator.run()
    for numbers in came:
        assert len(numbers) > 300
        assert numbers == list(range(len(numbers)))
