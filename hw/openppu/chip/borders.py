"""Where the clocks of a chip's parts meet."""

from collections.abc import Callable
from typing import Any

from amaranth.lib import wiring

from openppu.common.axi import AxiLiteSignature
from openppu.common.memory_crossing import AxiLiteCrossing, MemoryCrossing
from openppu.common.stream_crossing import StreamCrossing


class Borders:
    """Joins ports of parts in two clock domains by a crossing; in one, by wires alone.

    Parameters
    ----------
    m : Module
    part : callable
        Puts a component into the module: from its name, the component, and the domain here for each of its own.
    """

    def __init__(self, m: Any, part: Callable[[str, Any, dict[str, str]], Any]):
        self.m = m
        self.part = part

    def stream(self, name: str, source: Any, target: Any, *, domains: tuple[str, str]) -> None:
        """Connect a source to a target: ``domains`` are theirs."""
        here, there = domains
        if here != there:
            crossing = self.part(name, StreamCrossing(source.payload.shape()), {"sync": here, "far": there})
            wiring.connect(self.m, source, crossing.i)
            source = crossing.o
        wiring.connect(self.m, source, target)

    def memory(self, name: str, user: Any, *, domains: tuple[str, str]) -> Any:
        """The memory port of a user, in the domain of the memory: ``domains`` are theirs."""
        here, there = domains
        if here == there:
            return user
        crossing = self.part(name, MemoryCrossing(tags=user.signature.tags), {"sync": here, "far": there})
        wiring.connect(self.m, user, crossing.user)
        return crossing.memory

    def registers(self, name: str, axi: Any, part: Any, *, domain: str) -> None:
        """Lead a port of the hub to a part with a narrower address, in its domain."""
        if domain != "sync":
            crossing = self.part(
                name, AxiLiteCrossing(address_bits=part.signature.address_bits), {"sync": "sync", "far": domain}
            )
            wiring.connect(self.m, crossing.part, part)
            part = crossing.user
        for key, member in AxiLiteSignature(address_bits=1, data_bits=32).members.items():
            mine, theirs = getattr(axi, key), getattr(part, key)
            self.m.d.comb += theirs.eq(mine) if member.flow is wiring.Out else mine.eq(theirs)
