"""What was wrong with the words of a pseudo-channel, kept for software."""

from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from openppu.hbm.config import ChannelConfig
from openppu.hbm.read_path import error_layout

COUNT_BITS = 32


def error_log_layout(config: ChannelConfig) -> data.StructLayout:
    """Words corrected, wrong beyond correction, and lost, each up to 2**32 - 1; and one of the records."""
    counts = dict.fromkeys(("corrected", "uncorrectable", "lost"), COUNT_BITS)
    return data.StructLayout({**counts, "record": error_layout(config)})


class ErrorLog(wiring.Component):
    """Counts the records, and keeps one: the first since ``clear``, until one comes whose data was lost.

    A word that was corrected says where to look; one that was not says what is gone, so the first of these replaces it.

    Latency: 1 cycle. Throughput: a record a cycle.

    Members
    -------
    record : In(error_layout(config))
    clear : In(1)
        Forget all; a record of the same cycle is kept.
    log : Out(error_log_layout(config))
        ``log.record.valid``: there is one.
    """

    def __init__(self, config: ChannelConfig):
        self.config = config
        super().__init__(
            {"record": In(error_layout(config)), "clear": In(1), "log": Out(error_log_layout(config), init={})}
        )

    def elaborate(self, platform):
        m = Module()
        log, record = self.log, self.record
        worse = Signal()
        m.d.comb += worse.eq(~(log.record.uncorrectable | log.record.lost) & (record.uncorrectable | record.lost))
        with m.If(self.clear):
            m.d.sync += log.eq(0)
        with m.If(record.valid):
            with m.If(self.clear | ~log.record.valid | worse):
                m.d.sync += log.record.eq(record)
            for name in ("corrected", "uncorrectable", "lost"):
                with m.If(self.clear):
                    m.d.sync += log[name].eq(record[name])
                with m.Elif(~log[name].all()):
                    m.d.sync += log[name].eq(log[name] + record[name])
        return m
