"""The way to a PHY that runs at the memory clock (CK), at a ratio of 1:1."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from openppu.hbm.commands import column_slot_layout, row_slot_layout
from openppu.hbm.device import Organisation
from openppu.hbm.phy import CHECK_BITS, DATA_BITS, PSEUDO_CHANNELS, PhySignature

LATENCY = 1
"""Controller clocks that the gearbox adds from a command to its word read: add them to the setting ``read_delay``."""

_LEVELS_OUT = ("cke", "reset_n", "init_start", "update_acknowledge")
_LEVELS_IN = ("temperature", "init_complete", "update_request")


def half_layout() -> data.StructLayout:
    """What passes a PC's pins in a CK: half an access, two beats, the first lowest, each with its 8 check bits."""
    return data.StructLayout({"data": DATA_BITS // 2, "check": CHECK_BITS // 2})


class CkPhySignature(wiring.Signature):
    """A channel's boundary at a ratio of 1:1, seen from the controller; all of it in the clock domain of CK.

    Members
    -------
    row : Out
        The row bus in this CK. An ``ACT`` is followed by a ``NOP``.
    column, column_pc : Out, Out(1)
        The column bus in this CK, which belongs to that PC.
    write : Out, half a word for each PC, with ``write_mask`` (a bit a byte) and ``write_valid``
        ``write_valid`` comes with the first half, 2 x (WL // 2) CK after the ``WR``; the second half in the next CK.
        Mask and check bits as in `openppu.hbm.phy.PhySignature`.
    read : In, half a word for each PC, with ``read_valid``
        ``read_valid`` comes with the first half, the second half in the next CK. A PHY of no delay of its own gives the
        first RL + 1 CK after the ``RD``; any other adds the same even number of CK to every read.
    cke, reset_n, init_start, update_acknowledge : Out
    temperature, catastrophic, address_error, init_complete, update_request : In
        As in `openppu.hbm.phy.PhySignature`; ``catastrophic`` for a CK at least; ``address_error`` in the first CK of a
        clock for a command in slot 0, in the second for one in slot 1.
    """

    def __init__(self, organisation: Organisation):
        self.organisation = organisation
        halves = data.ArrayLayout(half_layout(), PSEUDO_CHANNELS)
        others = PhySignature(organisation).members
        super().__init__(
            {
                "row": Out(row_slot_layout(organisation)),
                "column": Out(column_slot_layout(organisation)),
                "column_pc": Out(1),
                "write": Out(halves),
                "write_mask": Out(data.ArrayLayout(DATA_BITS // 16, PSEUDO_CHANNELS)),
                "write_valid": Out(PSEUDO_CHANNELS),
                "read": In(halves),
                "read_valid": In(PSEUDO_CHANNELS),
                **{name: others[name] for name in (*_LEVELS_OUT, *_LEVELS_IN, "catastrophic")},
                "address_error": In(1),
            }
        )


class Gearbox(wiring.Component):
    """Stands between a controller, in ``sync``, and a PHY, in ``ck``: twice as fast, of the same source, edges aligned.

    Latency: a command in slot ``f`` of clock ``t`` is on the bus in CK ``2 t + 1 + f``, and the words of writes are as
    much later; levels likewise. Words read come such that both ways together cost `LATENCY` clocks. Throughput: all
    that passes the boundary.

    Parameters
    ----------
    organisation : Organisation

    Members
    -------
    controller : In(PhySignature)
    phy : Out(CkPhySignature)
    """

    def __init__(self, organisation: Organisation):
        self.organisation = organisation
        super().__init__({"controller": In(PhySignature(organisation)), "phy": Out(CkPhySignature(organisation))})

    def elaborate(self, platform):
        m = Module()
        near, far = self.controller, self.phy

        # The first CK of a clock is the one in which the clock's number is new.
        clock, seen = Signal(), Signal(init=1)
        first = Signal()
        m.d.sync += clock.eq(~clock)
        m.d.ck += seen.eq(clock)
        m.d.comb += first.eq(clock ^ seen)

        m.d.ck += [
            far.row.eq(Mux(first, near.row[0].as_value(), near.row[1].as_value())),
            far.column.eq(Mux(first, near.column[0].as_value(), near.column[1].as_value())),
            far.column_pc.eq(~first),
            *(getattr(far, name).eq(getattr(near, name)) for name in _LEVELS_OUT),
        ]

        for pc in range(PSEUDO_CHANNELS):
            # The halves go out with the phase of the PC's commands: of PC 1, the second must be kept for it.
            low, high = (
                Cat(half.data, half.check, near.write_mask[pc].word_select(place, DATA_BITS // 16))
                for place, half in enumerate(_halves(near.write[pc]))
            )
            kept = Signal(len(high), name=f"kept_{pc}")
            out = Cat(far.write[pc].as_value(), far.write_mask[pc])
            m.d.ck += [
                kept.eq(high),
                out.eq(Mux(first, kept, low) if pc else Mux(first, low, high)),
                far.write_valid[pc].eq(near.write_valid[pc] & (first ^ pc)),
            ]

            # The last halves: a word is whole with the second, in the first or the last CK of a clock.
            read = far.read[pc].as_value()
            last, before = Signal(len(read), name=f"last_{pc}"), Signal(len(read), name=f"before_{pc}")
            began = Signal(2, name=f"began_{pc}")
            m.d.ck += [last.eq(read), before.eq(last), began.eq(Cat(far.read_valid[pc], began))]
            word = Signal(data.ArrayLayout(half_layout(), 2), name=f"word_{pc}")
            m.d.comb += word.eq(Mux(began[0], Cat(last, read), Cat(before, last)))
            m.d.sync += [
                near.read[pc].data.eq(Cat(word[0].data, word[1].data)),
                near.read[pc].check.eq(Cat(word[0].check, word[1].check)),
                near.read_valid[pc].eq(began.any()),
            ]

        m.d.sync += [getattr(near, name).eq(getattr(far, name)) for name in _LEVELS_IN]
        hot, wrong = Signal(), Signal()
        m.d.ck += [hot.eq(far.catastrophic), wrong.eq(far.address_error)]
        m.d.sync += [
            near.catastrophic.eq(hot | far.catastrophic),
            near.address_error.eq(Cat(wrong, far.address_error)),
        ]
        return m


def _halves(word: data.View) -> list[data.View]:
    """The two halves of a word of the controller."""
    return [
        data.View(
            half_layout(),
            Cat(
                word.data.word_select(place, DATA_BITS // 2),
                word.check.word_select(place, CHECK_BITS // 2),
            ),
        )
        for place in range(2)
    ]
