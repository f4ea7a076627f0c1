"""Brings the device from power-up to its first command."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.hbm.mode_registers import MODE_BITS, MODE_REGISTERS
from openppu.hbm.settings import settings_layout

RESET_CLOCKS = 16
"""Clocks with reset_n low, and again with only CKE low, and again before the training: as few as a simulation likes."""


class Startup(wiring.Component):
    """Reset, CKE, training, mode registers; then ``enable``.

    Latency: three times ``clocks``, the PHY's training, and ``MODE_REGISTERS`` times tMRD.

    Parameters
    ----------
    clocks : int
        Controller clocks of each of the three waits: with real memory 200 and 500 microseconds, and 200 ns.

    Members
    -------
    settings : In(settings_layout)
    reset_n, cke : Out(1)
    init_start, init_complete : Out(1), In(1)
        The training; as in `openppu.hbm.phy.PhySignature`.
    lost : In(1)
        The device did not take the last mode register, ``parity_latency`` clocks ago.
    mrs, register, operand : Out(1), Out(4), Out(8)
        That mode register is set, to ``settings.modes``, in this clock.
    enable : Out(1)
    """

    def __init__(self, *, clocks: int = RESET_CLOCKS):
        self.clocks = clocks
        super().__init__(
            {
                "settings": In(settings_layout()),
                "reset_n": Out(1, init=0),
                "cke": Out(1, init=0),
                "init_start": Out(1),
                "init_complete": In(1),
                "lost": In(1),
                "mrs": Out(1),
                "register": Out(range(MODE_REGISTERS)),
                "operand": Out(MODE_BITS),
                "enable": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        wait = Signal(range(max(self.clocks + 1, 1 << 16)))
        over = Signal()
        m.d.comb += [
            over.eq(wait >= self.clocks),
            self.operand.eq(self.settings.modes.as_value().word_select(self.register, MODE_BITS)),
        ]
        m.d.sync += wait.eq(wait + 1)
        with m.FSM():
            with m.State("reset"):
                with m.If(over):
                    m.d.sync += [self.reset_n.eq(1), wait.eq(0)]
                    m.next = "cke_low"
            with m.State("cke_low"):
                with m.If(over):
                    m.d.sync += [self.cke.eq(1), wait.eq(0)]
                    m.next = "settle"
            with m.State("settle"):
                with m.If(over):
                    m.next = "train"
            with m.State("train"):
                m.d.comb += self.init_start.eq(1)
                with m.If(self.init_complete):
                    m.d.sync += [self.mrs.eq(1), wait.eq(0)]
                    m.next = "modes"
            with m.State("modes"):
                m.d.sync += self.mrs.eq(0)
                with m.If(self.lost):
                    m.d.sync += [self.mrs.eq(1), wait.eq(0)]
                with m.Elif(((wait << 1) >= self.settings.timing.tMRD) & (wait > self.settings.parity_latency)):
                    m.d.sync += [wait.eq(0), self.register.eq(self.register + 1)]
                    with m.If(self.register == MODE_REGISTERS - 1):
                        m.next = "run"
                    with m.Else():
                        m.d.sync += self.mrs.eq(1)
            with m.State("run"):
                m.d.comb += self.enable.eq(1)
        return m
