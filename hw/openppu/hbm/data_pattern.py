"""What a self-test writes to an address, and expects to read there."""

from amaranth import Cat, Module, Signal
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

from openppu.hbm.phy import DATA_BITS

ADDRESS_BITS = 32
SEED_BITS = 32
STATE_BITS = ADDRESS_BITS + SEED_BITS

LANES = DATA_BITS // STATE_BITS
"""Parts of a word that the random pattern makes each by itself."""

STEPS = 2
"""Steps of the shift register from an address to a lane: enough that neighbours differ in many bits."""


class Pattern(enum.Enum, shape=2):
    """``docs/hbm.md`` defines them."""

    ZEROS = 0
    ADDRESS = 1
    RANDOM = 2


def shift_register_step(m: Module, state: Signal, *, name: str) -> Signal:
    """The next state of a 64-bit linear feedback shift register of period 2**64 - 1; zero stays zero.

    Marsaglia, "Xorshift RNGs" (Journal of Statistical Software 8, 2003), the triple 13, 7, 17. Combinational.
    """
    for number, shifted in enumerate((lambda x: x << 13, lambda x: x >> 7, lambda x: x << 17)):
        following = Signal(STATE_BITS, name=f"{name}_{number}")
        m.d.comb += following.eq(state ^ shifted(state))
        state = following
    return state


class DataPattern(wiring.Component):
    """The word that a pattern has at an address. Combinational.

    Members
    -------
    pattern : In(Pattern)
    address : In(32)
    seed : In(32)
        Of `Pattern.RANDOM`.
    data : Out(256)
    """

    def __init__(self):
        super().__init__(
            {"pattern": In(Pattern), "address": In(ADDRESS_BITS), "seed": In(SEED_BITS), "data": Out(DATA_BITS)}
        )

    def elaborate(self, platform):
        m = Module()
        start = Signal(STATE_BITS)
        m.d.comb += start.eq(Cat(self.address, ~self.seed))
        lanes = []
        for lane in range(LANES):
            state = Signal(STATE_BITS, name=f"start_{lane}")
            m.d.comb += state.eq(start.rotate_left(lane * STATE_BITS // LANES))
            for step in range(STEPS):
                state = shift_register_step(m, state, name=f"lane_{lane}_{step}")
            lanes.append(state)
        with m.Switch(self.pattern):
            with m.Case(Pattern.ADDRESS):
                m.d.comb += self.data.eq(Cat(self.address, ~self.address).replicate(LANES))
            with m.Case(Pattern.RANDOM):
                m.d.comb += self.data.eq(Cat(lanes))
        return m
