"""Two physical layers with a line each way, and counted beats that go over them."""

from collections.abc import Callable
from typing import Any

from amaranth import Cat, DomainRenamer, Module, ResetInserter, Signal
from amaranth.lib import data
from amaranth.sim import Simulator
from openppu.link.config import LinkConfig
from openppu.link.physical import PhysicalLayer
from openppu.link.settings import TrainingSettings
from openppu.link.training import State
from openppu_verif.link.line import Line

SHORT = TrainingSettings(
    align_timeout=2000,
    width_timeout=400,
    start_timeout=400,
    retrain_timeout=400,
    reset_timeout=2000,
    settle_least=16,
    settle_most=600,
    patience=64,
)
"""Waits no longer than the lines of these tests make it."""


class End:
    """One of the two: what it sends and gets, beat for beat, and which events it saw."""

    def __init__(self, layer: PhysicalLayer, line: Line):
        self.layer = layer
        self.line = line
        """That it sends on."""
        self.given = 0
        self.restarts = 0
        self.flits: list[int | None] = []
        """Whole flits received: their numbers at the sender, None of one that is wrong."""
        self.partial: list[int] = []
        self.arrivals: list[int] = []
        """Clocks of their last beats."""
        self.events: list[tuple[int, str]] = []
        self.states: list[tuple[int, State]] = []

    def wire(self, m: Module) -> None:
        """Bring together what is set and read in each clock: the simulator settles after each."""
        layer, config = self.layer, self.layer.config
        line = {"words": config.lanes * config.lane_bits, "valid": config.lanes, "signal": config.lanes}
        self.from_line = Signal(data.StructLayout(line))
        m.d.comb += [
            layer.serdes.receive.eq(self.from_line.words),
            layer.serdes.receive_valid.eq(self.from_line.valid),
            layer.serdes.signal.eq(self.from_line.signal),
        ]
        user = {"data": 8 * config.beat_bytes, "first": 1, "last": 1, "good": 1, "bad": 1}
        self.given_in = Signal(data.StructLayout(user))
        m.d.comb += [
            layer.transmit.payload.data.eq(self.given_in.data),
            layer.transmit.payload.first.eq(self.given_in.first),
            layer.transmit.payload.last.eq(self.given_in.last),
            layer.transmit.valid.eq(1),
            layer.flit_good.eq(self.given_in.good),
            layer.flit_bad.eq(self.given_in.bad),
        ]
        outputs = {
            "words": layer.serdes.send.as_value(),
            "idle": layer.serdes.send_idle,
            "state": layer.status.state.as_value(),
            "sending": layer.sending,
            "ready": layer.transmit.ready,
            "receiving": layer.receiving,
            "valid": layer.receive_valid,
            "data": layer.receive.data,
            "first": layer.receive.first,
            "last": layer.receive.last,
            "fresh_far": layer.fresh_far,
            "link_reset": layer.link_reset,
        }
        self.told = Signal(data.StructLayout({name: len(value) for name, value in outputs.items()}))
        m.d.comb += self.told.as_value().eq(Cat(outputs.values()))
        self.places = {str(name): (field.offset, (1 << field.width) - 1) for name, field in self.told.shape()}


class Pair:
    """The two, and a clock that they share; with ``recovered_clock`` the second one has its own, faster by ``ppm``."""

    def __init__(
        self, config: LinkConfig, lines: tuple[Line, Line], settings: TrainingSettings = SHORT, *, ppm: float = 0
    ):
        self.config = config
        self.ends = [End(PhysicalLayer(config), line) for line in lines]
        self.settings = settings
        self.clock = 0
        m = Module()
        self.reset = Signal(2)
        """Holds one of the two in reset."""
        for place, end in enumerate(self.ends):
            layer = ResetInserter(self.reset[place])(end.layer)
            if config.recovered_clock:
                # Each receives in the clock of the other.
                layer = DomainRenamer({"sync": "ab"[place], "rx": "ba"[place]})(layer)
            m.submodules[f"layer_{place}"] = layer
            end.wire(m)
        self.simulator = Simulator(m)
        if config.recovered_clock:
            self.simulator.add_clock(1e-9, domain="a")
            self.simulator.add_clock(1e-9 * (1 - ppm * 1e-6), domain="b", phase=0.3e-9)
        else:
            self.simulator.add_clock(1e-9)
        self.ctx: Any = None
        self.deaf = False
        """Flits are not told to be good or bad."""

    def beat(self, end: int, flit: int, place: int) -> int:
        """The data of a beat: nobody else's."""
        number = (end * 7919 + flit * 64 + place + 1) * 0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835
        wide = number | number << 130 | number << 260 | number << 390 | number << 520 | number << 650 | number << 780
        return wide & (1 << 8 * self.config.beat_bytes) - 1

    def run(self, testbench: Callable[["Pair"], Any]) -> None:
        """Run a testbench, which awaits `ticks` and the like."""

        async def process(ctx: Any) -> None:
            self.ctx = ctx
            for end in self.ends:
                ctx.set(end.layer.settings, self.settings.values())
            await testbench(self)

        async def other_clock(ctx: Any) -> None:
            while True:
                self._step(ctx, 1)
                await ctx.tick("b")

        self.simulator.add_testbench(process)
        if self.config.recovered_clock:
            self.simulator.add_testbench(other_clock, background=True)
        self.simulator.run()

    async def ticks(self, clocks: int) -> None:
        """Let time pass."""
        for _ in range(clocks):
            await self._tick()

    async def until(self, condition: Callable[[], bool], most: int) -> int:
        """Let time pass until something holds; the clocks that it took.

        Raises
        ------
        AssertionError
            If it takes longer than ``most``.
        """
        for clocks in range(most):
            if condition():
                return clocks
            await self._tick()
        told = [[(clock, state.name) for clock, state in end.states[-12:]] for end in self.ends]
        raise AssertionError(f"not within {most} clocks; states {told}")

    def state(self, end: int) -> State:
        """Of one of the two."""
        return State(self.ctx.get(self.ends[end].layer.status.state))

    def up(self) -> bool:
        """Whether flits go both ways."""
        return all(self.state(end) in (State.ACTIVE, State.DEGRADED) for end in range(2))

    def set(self, end: int, **control: int) -> None:
        """Set control inputs of one."""
        for name, value in control.items():
            self.ctx.set(getattr(self.ends[end].layer.control, name), value)

    async def _tick(self) -> None:
        if self.config.recovered_clock:
            self._step(self.ctx, 0)
            self.clock += 1
            await self.ctx.tick("a")
            return
        self._step(self.ctx, 0)
        self._step(self.ctx, 1)
        self.clock += 1
        await self.ctx.tick()

    def _step(self, ctx: Any, place: int) -> None:
        """A clock of one of the two."""
        config, end, other = self.config, self.ends[place], self.ends[1 - place]
        value = ctx.get(end.told.as_value())
        told = {name: value >> low & mask for name, (low, mask) in end.places.items()}
        words, valid, signal = end.line.clock(told["words"], told["idle"])
        ctx.set(other.from_line, {"words": words, "valid": valid, "signal": signal})
        state = State(told["state"])
        if not end.states or end.states[-1][1] != state:
            end.states.append((self.clock, state))
        end.events.extend((self.clock, name) for name in ("fresh_far", "link_reset") if told[name])

        # Sending: whole flits, begun again after a break.
        if not told["sending"] and end.given % config.beats:
            end.given -= end.given % config.beats
            end.restarts += 1
        flit, beat = divmod(end.given, config.beats)
        user = {"data": self.beat(place, flit, beat), "first": beat == 0, "last": beat == config.beats - 1}
        end.given += told["ready"]

        # Receiving.
        if not told["receiving"] and not told["valid"]:
            end.partial = []
        if told["valid"]:
            assert told["first"] == (not end.partial), f"clock {self.clock}: end {place}: first out of its place"
            end.partial.append(told["data"])
            assert told["last"] == (len(end.partial) == config.beats), f"clock {self.clock}: end {place}: last"
            if told["last"]:
                number = self._number(1 - place, end.partial)
                user |= {"good": number is not None and not self.deaf, "bad": number is None and not self.deaf}
                end.flits.append(number)
                end.arrivals.append(self.clock)
                end.partial = []
        ctx.set(end.given_in, user)

    def _number(self, end: int, beats: list[int]) -> int | None:
        """Which of the last flits of ``end`` this is; None if it is none."""
        last = self.ends[end].given // self.config.beats
        for flit in range(last, max(-1, last - 40), -1):
            if beats == [self.beat(end, flit, place) for place in range(len(beats))]:
                return flit
        return None
