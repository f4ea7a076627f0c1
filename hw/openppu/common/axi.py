"""AXI4: its signals, and the addresses of a burst's beats. AMBA AXI Protocol Specification, ARM IHI 0022H, part A."""

from amaranth import Module, Signal
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Member, Out

PAGE_BITS = 12
"""No burst crosses a boundary of 4 KiB (A3.4.1)."""


class Burst(enum.Enum, shape=2):
    """How the address goes on from beat to beat (A3.4.1)."""

    FIXED = 0
    INCR = 1
    WRAP = 2


class Response(enum.Enum, shape=2):
    """How an access went (A3.4.4)."""

    OKAY = 0
    EXOKAY = 1
    SLVERR = 2
    DECERR = 3


class AxiSignature(wiring.Signature):
    """The five channels, seen from the manager, under AXI's names.

    Left out are cache, protection, quality of service, region and user signals, which a memory need not look at.

    Parameters
    ----------
    id_bits : int
    address_bits : int
        Of a byte's address.
    data_bits : int
        A power of two, 8 to 1024.

    Raises
    ------
    ValueError
        If AXI4 has no bus of such a width.
    """

    def __init__(self, *, id_bits: int, address_bits: int, data_bits: int):
        if data_bits not in (8, 16, 32, 64, 128, 256, 512, 1024):
            raise ValueError(f"AXI data_bits = {data_bits}: give a power of two from 8 to 1024")
        self.id_bits = id_bits
        self.address_bits = address_bits
        self.data_bits = data_bits
        members: dict[str, Member] = {}
        for channel in ("aw", "ar"):
            members |= {
                f"{channel}id": Out(id_bits),
                f"{channel}addr": Out(address_bits),
                f"{channel}len": Out(8),
                f"{channel}size": Out(3),
                f"{channel}burst": Out(2),
                f"{channel}lock": Out(1),
                f"{channel}valid": Out(1),
                f"{channel}ready": In(1),
            }
        members |= {"wdata": Out(data_bits), "wstrb": Out(data_bits // 8), "wlast": Out(1), "wvalid": Out(1)}
        members |= {"wready": In(1)}
        members |= {"bid": In(id_bits), "bresp": In(Response), "bvalid": In(1), "bready": Out(1)}
        members |= {
            "rid": In(id_bits),
            "rdata": In(data_bits),
            "rresp": In(Response),
            "rlast": In(1),
            "rvalid": In(1),
            "rready": Out(1),
        }
        super().__init__(members)


class AxiLiteSignature(wiring.Signature):
    """AXI4-Lite's five channels (B1), seen from the manager, under AXI's names; without protection signals.

    Parameters
    ----------
    address_bits : int
        Of a byte's address.
    data_bits : int
        32 or 64.

    Raises
    ------
    ValueError
        If AXI4-Lite has no bus of such a width.
    """

    def __init__(self, *, address_bits: int, data_bits: int):
        if data_bits not in (32, 64):
            raise ValueError(f"AXI4-Lite data_bits = {data_bits}: give 32 or 64")
        self.address_bits = address_bits
        self.data_bits = data_bits
        super().__init__(
            {
                "awaddr": Out(address_bits),
                "awvalid": Out(1),
                "awready": In(1),
                "wdata": Out(data_bits),
                "wstrb": Out(data_bits // 8),
                "wvalid": Out(1),
                "wready": In(1),
                "bresp": In(Response),
                "bvalid": In(1),
                "bready": Out(1),
                "araddr": Out(address_bits),
                "arvalid": Out(1),
                "arready": In(1),
                "rdata": In(data_bits),
                "rresp": In(Response),
                "rvalid": In(1),
                "rready": Out(1),
            }
        )


class BurstStep(wiring.Component):
    """The address of the beat after one, within 4 KiB (A3.4.1). Combinational.

    Members
    -------
    address : In(12)
        Of the beat; only that of the first may be unaligned.
    length : In(8)
        Beats of the burst, less one.
    size : In(3)
        Bytes of a beat: two to the power of this.
    burst : In(2)
        `Burst`; the reserved code counts as ``INCR``.
    following : Out(12)
        Of the next beat.
    aligned : Out(12)
        ``address`` without its bits below ``size``.
    window : Out(12)
        Mask of the bits that a ``WRAP`` changes; all for ``INCR``, none for ``FIXED``.
    """

    def __init__(self):
        super().__init__(
            {
                "address": In(PAGE_BITS),
                "length": In(8),
                "size": In(3),
                "burst": In(2),
                "following": Out(PAGE_BITS),
                "aligned": Out(PAGE_BITS),
                "window": Out(PAGE_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        beat = Signal(8)
        following = Signal(PAGE_BITS)
        m.d.comb += [
            beat.eq(1 << self.size),
            self.aligned.eq(self.address & ~(beat - 1)),
            following.eq(self.aligned + beat),
            self.following.eq((self.address & ~self.window) | (following & self.window)),
        ]
        with m.Switch(self.burst):
            with m.Case(Burst.FIXED):
                m.d.comb += self.window.eq(0)
            with m.Case(Burst.WRAP):
                m.d.comb += self.window.eq((self.length << self.size) | (beat - 1))
            with m.Default():
                m.d.comb += self.window.eq(-1)
        return m
