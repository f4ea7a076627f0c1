"""What was wrong with the words of a scratchpad, kept for software."""

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.choose import lowest
from openppu.common.secded import CHECK_BITS
from openppu.scratchpad.bank import report_layout
from openppu.scratchpad.config import CODE_BYTES, ScratchpadConfig

COUNT_BITS = 32
COUNTS = ("corrected", "uncorrectable", "repaired", "scrubbed")


def record_layout(config: ScratchpadConfig) -> data.StructLayout:
    """A code word that was wrong, if ``valid``: ``address`` counts code words, eight bytes each."""
    code_words = range(config.capacity // CODE_BYTES)
    return data.StructLayout({"valid": 1, "uncorrectable": 1, "address": code_words, "syndrome": CHECK_BITS})


def error_log_layout(config: ScratchpadConfig) -> data.StructLayout:
    """Words found wrong by a bit a code word, found wrong beyond correction, repaired and scrubbed, and a record.

    Each count is modulo 2**32. A repair's own read does not count as one more that was corrected.
    """
    return data.StructLayout({**dict.fromkeys(COUNTS, COUNT_BITS), "record": record_layout(config)})


class ErrorLog(wiring.Component):
    """Counts what the banks report, and keeps one record: the first since ``clear``, until one comes that is worse.

    Of banks that report in one cycle, the lowest with the worst error is kept.

    Latency: 2 cycles. Throughput: a report a bank a cycle.

    Members
    -------
    reports : In(report_layout), array of one a bank
    clear : In(1)
        Forget all but what is reported from the cycle before on.
    log : Out(error_log_layout(config))
    """

    def __init__(self, config: ScratchpadConfig):
        self.config = config
        report = report_layout(words=config.bank_words, word_bytes=config.word_bytes)
        super().__init__(
            {
                "reports": In(report).array(config.banks),
                "clear": In(1),
                "log": Out(error_log_layout(config), init={}),
            }
        )

    def elaborate(self, platform):
        m = Module()
        log, banks = self.log, self.config.banks
        reports = [Signal(report.shape(), name=f"report_{bank}") for bank, report in enumerate(self.reports)]
        m.d.sync += [kept.eq(report) for kept, report in zip(reports, self.reports, strict=True)]

        # How many banks say so.
        for name in COUNTS:
            total = Signal(range(banks + 1), name=f"{name}_now")
            m.d.comb += total.eq(sum((report[name] for report in reports[1:]), reports[0][name]))
            m.d.sync += log[name].eq(Mux(self.clear, 0, log[name]) + total)

        wrong = Signal(banks)
        corrected = Signal(banks)
        m.d.comb += [
            wrong.eq(Cat(report.uncorrectable for report in reports)),
            corrected.eq(Cat(report.corrected for report in reports)),
        ]
        bank = lowest(m, Mux(wrong.any(), wrong, corrected), name="bank")
        report = Signal(reports[0].shape())
        m.d.comb += report.eq(Array(report.as_value() for report in reports)[bank])
        worse = Signal()
        m.d.comb += worse.eq(wrong.any() & ~log.record.uncorrectable)
        with m.If(self.clear):
            m.d.sync += log.record.eq(0)
        with m.If((wrong | corrected).any() & (self.clear | ~log.record.valid | worse)):
            group_bits = (self.config.word_bytes // CODE_BYTES - 1).bit_length()
            place = Cat(report.group[:group_bits], report.address, bank)
            m.d.sync += [
                log.record.valid.eq(1),
                log.record.uncorrectable.eq(wrong.any()),
                log.record.address.eq(place),
                log.record.syndrome.eq(report.syndrome),
            ]
        return m
