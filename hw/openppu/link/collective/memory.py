"""The engine's side of memory: streams of addresses and beats, for behavioural memory or a chip's network."""

from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.link.collective.config import CollectiveConfig
from openppu.link.layouts import ADDRESS_BITS


def read_layout() -> data.StructLayout:
    """Where a beat is that is to be read, in bytes, a multiple of a beat; ``last`` of its instruction."""
    return data.StructLayout({"address": ADDRESS_BITS, "last": 1})


class ReadSignature(wiring.Signature):
    """Reads of whole beats, seen from the engine.

    Members
    -------
    address : Out(stream of read_layout())
        No more are under way than the engine has room for.
    beat : In(stream)
        One for each address, in order. Always taken at once.
    """

    def __init__(self, config: CollectiveConfig):
        super().__init__(
            {
                "address": Out(stream.Signature(read_layout())),
                "beat": In(stream.Signature(8 * config.beat_bytes)),
            }
        )


def write_layout(config: CollectiveConfig) -> data.StructLayout:
    """A beat to be written: its first ``count`` + 1 bytes; ``last`` of its instruction."""
    return data.StructLayout(
        {"address": ADDRESS_BITS, "data": 8 * config.beat_bytes, "count": range(config.beat_bytes), "last": 1}
    )


class WriteSignature(wiring.Signature):
    """Writes of beats, seen from the engine.

    Members
    -------
    beat : Out(stream of write_layout(config))
        Must be taken at last, whatever else waits: all that comes from other chips ends here.
    written : In(1)
        The oldest beat that was taken and not told of yet is in memory: a read that is asked for from the next cycle
        on, at any of the engine's streams, sees it. Not before the cycle after it was taken.
    """

    def __init__(self, config: CollectiveConfig):
        super().__init__({"beat": Out(stream.Signature(write_layout(config))), "written": In(1)})
