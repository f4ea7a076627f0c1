"""The memory of a compute unit: banks of SRAM behind several ports."""

from amaranth import Array, C, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from openppu.common.shared import shared
from openppu.scratchpad.arbiter import BankArbiter
from openppu.scratchpad.bank import Bank
from openppu.scratchpad.config import ScratchpadConfig
from openppu.scratchpad.error_log import ErrorLog, error_log_layout
from openppu.scratchpad.port import ScratchpadPort

SCRUB_INTERVAL_BITS = 16


class Scratchpad(wiring.Component):
    """``config.banks`` regions, each of which serves one port a cycle, the ports in turns.

    A port whose request waits is served before any other is served twice: after at most ``ports`` - 1 accesses, which
    are as many cycles, but for writes of parts of code words and for repairs (`openppu.scratchpad.bank.Bank`), which
    take four. All words are zero after a reset: no request is taken for the ``config.bank_words`` cycles in which they
    are written, nor when they are written again.

    Latency: `LATENCY` cycles from the cycle in which a read is taken to that of its result. Throughput: an access a
    cycle a port, if no two are to the same bank.

    Parameters
    ----------
    config : ScratchpadConfig
        With a ``word_bytes`` that is not 0.
    ports : int, 1 to 32

    Members
    -------
    port : In(ScratchpadPort), array
    clear : In(1)
        From the next cycle on nothing is taken until all words are zero; what was taken before, ends before.
    filling : Out(1)
        They are not zero yet.
    scrub_interval : In(16)
        Cycles from one word of each bank that is read for wrong bits to the next, as long as the bank is idle; 0: none.
    clear_log : In(1)
    log : Out(error_log_layout(config))

    Raises
    ------
    ValueError
        If ``ports`` is outside its range or the word has no width.
    """

    LATENCY = 4

    def __init__(self, config: ScratchpadConfig, *, ports: int):
        if not 1 <= ports <= 32:
            raise ValueError(f"Scratchpad ports = {ports}: give 1 to 32")
        if config.word_bytes == 0:
            raise ValueError(
                "Scratchpad config.word_bytes = 0: give the scratchpad of a chip's description, or a width"
            )
        self.config = config
        self.ports = ports
        self._banks: list[Bank] = []
        port = ScratchpadPort(address_bits=config.address_bits, word_bytes=config.word_bytes)
        super().__init__(
            {
                "port": In(port).array(ports),
                "clear": In(1),
                "filling": Out(1),
                "scrub_interval": In(SCRUB_INTERVAL_BITS),
                "clear_log": In(1),
                "log": Out(error_log_layout(config)),
            }
        )

    @property
    def banks(self) -> list[Bank]:
        """For Amaranth's simulator, once it has been elaborated."""
        return self._banks

    def elaborate(self, platform):
        m = Module()
        config = self.config
        place_bits = config.bank_words.bit_length() - 1
        sizes = dict(ports=self.ports, words=config.bank_words, word_bytes=config.word_bytes)
        self._banks = [Bank(**sizes) for _ in range(config.banks)]
        arbiters = [BankArbiter(**sizes) for _ in range(config.banks)]
        for bank, (arbiter, store) in enumerate(zip(arbiters, self._banks, strict=True)):
            m.submodules[f"arbiter_{bank}"] = shared(arbiter, platform)
            m.submodules[f"bank_{bank}"] = shared(store, platform)
            wiring.connect(m, arbiter.accesses, store.accesses)
        m.submodules.errors = errors = ErrorLog(config)
        m.d.comb += [errors.clear.eq(self.clear_log), self.log.eq(errors.log)]
        m.d.comb += [report.eq(store.report) for report, store in zip(errors.reports, self._banks, strict=True)]

        # Requests, each to its bank.
        for number, port in enumerate(self.port):
            request = port.requests.payload
            bank = request.address[place_bits:] if config.banks > 1 else C(0)
            for place, arbiter in enumerate(arbiters):
                part = arbiter.requests[number]
                m.d.comb += [
                    part.valid.eq(port.requests.valid & (bank == place)),
                    part.payload.write.eq(request.write),
                    part.payload.address.eq(request.address[:place_bits]),
                    part.payload.data.eq(request.data),
                    part.payload.mask.eq(request.mask),
                ]
            m.d.comb += port.requests.ready.eq(Array(arbiter.requests[number].ready for arbiter in arbiters)[bank])

        # Results, each to its port.
        for number, port in enumerate(self.port):
            mine = [Signal(name=f"mine_{number}_{place}") for place in range(config.banks)]
            result = Signal(port.results.payload.shape(), name=f"result_{number}", reset_less=True)
            data, flags = C(0), C(0)
            for is_mine, store in zip(mine, self._banks, strict=True):
                answer = store.answer
                m.d.comb += is_mine.eq(answer.valid & (answer.port == number))
                data = data | Mux(is_mine, answer.data, 0)
                flags = flags | Mux(is_mine, answer.corrected << 1 | answer.error, 0)
            valid = Signal(name=f"result_valid_{number}")
            m.d.sync += [
                valid.eq(sum(mine[1:], mine[0]) != 0),
                result.data.eq(data),
                result.error.eq(flags[0]),
                result.corrected.eq(flags[1]),
            ]
            m.d.comb += [port.results.valid.eq(valid), port.results.payload.eq(result)]

        # Zeros: a word of every bank each cycle, once the banks have ended what they were at.
        fills = Signal(init=1)
        wanted = Signal()
        fill_address = Signal(place_bits)
        idle = Signal()
        interval = Signal(SCRUB_INTERVAL_BITS)
        scrub = Signal()
        m.d.comb += [
            self.filling.eq(fills | wanted),
            idle.eq(Cat(store.idle for store in self._banks).all()),
            scrub.eq((self.scrub_interval != 0) & (interval >= self.scrub_interval)),
        ]
        for store in self._banks:
            m.d.comb += [
                store.closed.eq(self.filling),
                store.fill.eq(fills),
                store.fill_address.eq(fill_address),
                store.scrub.eq(scrub),
            ]
        with m.If(fills):
            m.d.sync += [fill_address.eq(fill_address + 1), fills.eq(~fill_address.all())]
        with m.Elif(wanted):
            m.d.sync += [fills.eq(idle), wanted.eq(~idle)]
        with m.Elif(self.clear):
            m.d.sync += wanted.eq(1)
        m.d.sync += interval.eq(Mux(scrub | (self.scrub_interval == 0), 1, interval + 1))
        return m
