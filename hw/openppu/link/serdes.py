"""The boundary to the SerDes, which is outside."""

from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from openppu.link.config import LinkConfig


class SerdesSignature(wiring.Signature):
    """A port's lanes as words, seen from the port. Bit 0 of a word is the first on the line.

    The lanes sent are in ``sync``, the link clock. Those received are in the domain ``rx`` with
    ``recovered_clock``, else in ``sync``.

    Parameters
    ----------
    config : LinkConfig
    bits : int, optional
        Of a word; those of ``lane_bits`` by default.

    Members
    -------
    send : Out, a word for each lane
        One in each clock.
    send_idle : Out(lanes)
        The lane's driver is to rest: nothing is sent on it.
    receive : In, a word for each lane
        Cut from the lane's bits at any place, the same until the lane loses its lock.
    receive_valid : In(lanes)
        There is a word in this clock. All lanes have the same rate in the long run.
    signal : In(lanes)
        There is a signal on the lane. Falls when it is lost.
    """

    def __init__(self, config: LinkConfig, *, bits: int | None = None):
        self.config = config
        self.bits = config.lane_bits if bits is None else bits
        words = data.ArrayLayout(self.bits, config.lanes)
        super().__init__(
            {
                "send": Out(words),
                "send_idle": Out(config.lanes),
                "receive": In(words),
                "receive_valid": In(config.lanes),
                "signal": In(config.lanes),
            }
        )
