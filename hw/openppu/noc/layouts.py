"""What travels through the network."""

from amaranth.lib import data

from openppu.common.memory import WORD_BYTES
from openppu.noc.plan import GRANULE, ORDERS, Plan


def place_layout(plan: Plan) -> data.StructLayout:
    """A router, and which of what is there."""
    places = [*plan.initiator_places, *plan.target_places]
    most = max(place.local for place in places) + 1
    sizes = {"x": plan.noc.columns, "y": plan.noc.rows, "local": most}
    return data.StructLayout({name: range(max(2, size)) for name, size in sizes.items()})


def request_flit_layout(plan: Plan) -> data.StructLayout:
    """A read of ``last`` + 1 words, or a word of a write of as many, ``end`` with its last one.

    ``address`` counts words of 32 bytes of the target. ``index``: what the answer is to bear.
    """
    words = max(plan.hbm.channel.accesses, plan.scratchpad_words if plan.units else 1)
    return data.StructLayout(
        {
            "to": place_layout(plan),
            "end": 1,
            "source": place_layout(plan),
            "index": range(max(plan.noc.slots, plan.noc.writes)),
            "order": range(ORDERS),
            "write": 1,
            "address": range(words),
            "last": range(GRANULE),
            "data": 8 * WORD_BYTES,
            "mask": WORD_BYTES,
        }
    )


def response_flit_layout(plan: Plan) -> data.StructLayout:
    """A word that was read, the one of that number of its granule; or that a write was taken in (``acknowledge``).

    Words of different packets may come mixed; ``end``: the last of its packet.
    """
    return data.StructLayout(
        {
            "to": place_layout(plan),
            "end": 1,
            "index": range(max(plan.noc.slots, plan.noc.writes)),
            "acknowledge": 1,
            "word": range(GRANULE),
            "data": 8 * WORD_BYTES,
            "error": 1,
            "corrected": 1,
        }
    )
