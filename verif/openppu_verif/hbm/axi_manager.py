"""An AXI4 manager that issues single bursts, over the channels of cocotbext-axi."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from typing import Any

from cocotb.triggers import Event
from cocotbext.axi import AxiBus
from cocotbext.axi.axi_channels import AxiARSource, AxiAWSource, AxiBSink, AxiRSink, AxiWSource

from openppu_verif.hbm.axi_burst import BUS_BYTES, Burst

OKAY, EXOKAY, SLVERR, DECERR = range(4)


class Manager:
    """Any number of bursts at a time, by their IDs.

    Parameters
    ----------
    dut : cocotb handle
        The design.
    pauses : callable, optional
        Makes, for a channel, the pattern of cycles in which it pauses.
    prefix : str
        What stands before ``_awid`` and so on.
    """

    def __init__(self, dut: Any, pauses: Callable[[], Iterator[bool]] | None = None, *, prefix: str = "axi_") -> None:
        bus = AxiBus.from_prefix(dut, prefix)
        self.aw = AxiAWSource(bus.write.aw, dut.clk, dut.rst)
        self.w = AxiWSource(bus.write.w, dut.clk, dut.rst)
        self.b = AxiBSink(bus.write.b, dut.clk, dut.rst)
        self.ar = AxiARSource(bus.read.ar, dut.clk, dut.rst)
        self.r = AxiRSink(bus.read.r, dut.clk, dut.rst)
        for channel in (self.aw, self.w, self.b, self.ar, self.r):
            # Its tables of every beat would fill the log.
            channel.log.setLevel("WARNING")
            if pauses is not None:
                channel.set_pause_generator(pauses())
        self._writes: dict[int, deque[tuple[Event, list[int]]]] = defaultdict(deque)
        self._reads: dict[int, deque[tuple[Event, list[tuple[int, int]], int]]] = defaultdict(deque)

    async def write(self, burst: Burst, beats: list[tuple[int, int]], *, number: int, lock: bool = False) -> int:
        """Write beats of data and strobe; the response."""
        fields = {"len": burst.length - 1, "size": burst.size.bit_length() - 1, "burst": burst.kind, "lock": lock}
        done, response = Event(), list[int]()
        self._writes[number].append((done, response))
        self.aw.send_nowait(
            self.aw._transaction_obj(awid=number, awaddr=burst.address, **{f"aw{k}": v for k, v in fields.items()})
        )
        for place, (data, strobe) in enumerate(beats):
            last = place == burst.length - 1
            self.w.send_nowait(self.w._transaction_obj(wdata=data, wstrb=strobe, wlast=last))
        await done.wait()
        return response[0]

    async def read(self, burst: Burst, *, number: int, lock: bool = False) -> list[tuple[int, int]]:
        """Read a burst; data and response of each beat."""
        fields = {"len": burst.length - 1, "size": burst.size.bit_length() - 1, "burst": burst.kind, "lock": lock}
        done, beats = Event(), list[tuple[int, int]]()
        self._reads[number].append((done, beats, burst.length))
        self.ar.send_nowait(
            self.ar._transaction_obj(arid=number, araddr=burst.address, **{f"ar{k}": v for k, v in fields.items()})
        )
        await done.wait()
        return beats

    def collect(self) -> None:
        """Hand what has come to those who wait; once a cycle.

        Raises
        ------
        AssertionError
            If a response has no burst, or ``last`` is not where it must be.
        """
        while not self.b.empty():
            answer = self.b.recv_nowait()
            assert self._writes[int(answer.bid)], f"a response for ID {int(answer.bid)}, which has no write"
            done, response = self._writes[int(answer.bid)].popleft()
            response.append(int(answer.bresp))
            done.set()
        while not self.r.empty():
            beat = self.r.recv_nowait()
            waiting = self._reads[int(beat.rid)]
            assert waiting, f"a beat for ID {int(beat.rid)}, which has no read"
            done, beats, length = waiting[0]
            beats.append((int(beat.rdata), int(beat.rresp)))
            assert int(beat.rlast) == (len(beats) == length), f"last is wrong at beat {len(beats)} of {length}"
            if len(beats) == length:
                waiting.popleft()
                done.set()


def to_bus(lanes: range, data: dict[int, int]) -> tuple[int, int]:
    """Data and strobe of a beat that writes the bytes ``data``, by address; all within ``lanes``."""
    assert all(address in lanes for address in data)
    word = sum(value << 8 * (address % BUS_BYTES) for address, value in data.items())
    return word, sum(1 << address % BUS_BYTES for address in data)


def from_bus(lanes: range, word: int) -> dict[int, int]:
    """The bytes that a beat carries, by address."""
    return {address: word >> 8 * (address % BUS_BYTES) & 0xFF for address in lanes}
