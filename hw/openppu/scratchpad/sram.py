"""The one kind of memory that a scratchpad is made of, and that a user may replace by a macro."""

from amaranth import Module
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.secded import CHECK_BITS, DATA_BITS

GROUP_BITS = DATA_BITS + CHECK_BITS
"""What a bit of ``groups`` enables: a code word, the data in the low bits, the check bits in the high ones."""


class Sram(wiring.Component):
    """A memory with a single port: each cycle a read, or a write of some groups of 72 bits of a word.

    In emitted Verilog its module is ``openppu_sram_<words>x<bits>``, whatever part it is in, with the ports below and
    ``clk``, and it stands between `````ifndef OPENPPU_SRAM_MACROS````` and `````endif`````: who defines that name gives
    a module of the same name and ports. Nothing else is asked of that one: its content may be anything after power-up,
    ``read_data`` need be valid in the one cycle after a read alone, and there is no reset.

    Latency: 1 cycle. Throughput: one access a cycle.

    Parameters
    ----------
    words : int, at least 2
    groups : int, at least 1
        Code words of a word.

    Members
    -------
    enable : In(1)
        There is an access.
    write : In(1)
        It is a write, else a read.
    address : In(range(words))
    groups_written : In(groups)
        Of a write: which groups.
    write_data : In(72 * groups)
    read_data : Out(72 * groups)
        In the cycle after a read.

    Raises
    ------
    ValueError
        If there are too few words or groups.
    """

    REPLACED_BY = "OPENPPU_SRAM_MACROS"
    """The Verilog macro whose definition leaves the module out."""

    def __init__(self, *, words: int, groups: int):
        if words < 2 or groups < 1:
            raise ValueError(f"Sram words = {words}, groups = {groups}: give at least 2 words and 1 group")
        self.words = words
        self.groups = groups
        bits = GROUP_BITS * groups
        self._content = memory.MemoryData(shape=bits, depth=words, init=[])
        super().__init__(
            {
                "enable": In(1),
                "write": In(1),
                "address": In(range(words)),
                "groups_written": In(groups),
                "write_data": In(bits),
                "read_data": Out(bits),
            }
        )

    @property
    def module_name(self) -> str:
        """Of its Verilog, the same in every part."""
        return f"openppu_sram_{self.words}x{GROUP_BITS * self.groups}"

    @property
    def content(self) -> memory.MemoryData:
        """Its words, for Amaranth's simulator: what a test loads, looks at, and flips bits of."""
        return self._content

    def elaborate(self, platform):
        m = Module()
        m.submodules.cells = cells = memory.Memory(self._content)
        read, write = cells.read_port(), cells.write_port(granularity=GROUP_BITS)
        m.d.comb += [
            read.addr.eq(self.address),
            read.en.eq(self.enable & ~self.write),
            write.addr.eq(self.address),
            write.data.eq(self.write_data),
            self.read_data.eq(read.data),
        ]
        with m.If(self.enable & self.write):
            m.d.comb += write.en.eq(self.groups_written)
        return m
