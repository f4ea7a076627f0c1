"""A router of the mesh."""

from amaranth import C, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.shared import shared
from openppu.link.word_queue import WordQueue
from openppu.noc.turns import Turns

OPPOSITE = {"north": "south", "south": "north", "west": "east", "east": "west"}
LOCAL = "local"


def may_go(arrives: str, leaves: str) -> bool:
    """Whether a packet that came from a side may leave by another: along x first, then along y, never back."""
    if arrives in ("north", "south"):
        return leaves in (OPPOSITE[arrives], LOCAL)
    return leaves != arrives or arrives == LOCAL


class Router(wiring.Component):
    """Sends each packet on towards its place: east or west until its column is reached, then north or south.

    Each input has a queue; each output takes packets of the inputs in turns (`Turns`).

    Latency: 1 cycle with a queue, else 0. Throughput: a flit a cycle and output.

    Parameters
    ----------
    shape : StructLayout
        A flit, with ``to`` (``x``, ``y``, ``local``) and ``end``.
    arrives, leaves : tuple of str
        Sides from which packets come, and by which they may leave: "north" (a lower y), "south", "west" (a lower x),
        "east".
    sources, sinks : int
        At this place.
    whole : bool
        Whether packets must stay together.
    queue : int
        Flits of an input's queue; 0 for none, where there are no neighbours.

    Members
    -------
    x, y : In
        Where it is; constant.
    arrivals : In(stream of shape), array
        From the sides of ``arrives``, in their order, then from the sources.
    departures : Out(stream of shape), array
        To the sides of ``leaves``, in their order, then to the sinks.

    Raises
    ------
    ValueError
        If packets come from neighbours and there is no queue: two could wait for each other in a loop of logic.
    """

    def __init__(
        self,
        shape,
        *,
        arrives: tuple[str, ...],
        leaves: tuple[str, ...],
        sources: int,
        sinks: int,
        whole: bool,
        queue: int,
    ):
        if arrives and not queue:
            raise ValueError(f"Router queue = {queue}: a router with neighbours has one")
        self.shape = shape
        self.arrives = arrives
        self.leaves = leaves
        self.sources = sources
        self.sinks = sinks
        self.whole = whole
        self.queue = queue
        flit = stream.Signature(shape)
        super().__init__(
            {
                "x": In(shape["to"].shape["x"].shape),
                "y": In(shape["to"].shape["y"].shape),
                "arrivals": In(flit).array(len(arrives) + sources),
                "departures": Out(flit).array(len(leaves) + sinks),
            }
        )

    def elaborate(self, platform):
        m = Module()
        inputs = [*self.arrives, *([LOCAL] * self.sources)]
        outputs = [*self.leaves, *([LOCAL] * self.sinks)]

        # The head of each input, and where it wants to go.
        heads, wants = [], []
        for number, arrival in enumerate(self.arrivals):
            head = arrival
            if self.queue:
                queue = WordQueue(self.shape, depth=self.queue - 1)
                m.submodules[f"queue_{number}"] = shared(queue, platform)
                wiring.connect(m, wiring.flipped(arrival), queue.i)
                head = queue.o
            to = head.payload.to
            beside = {
                "east": to.x > self.x,
                "west": to.x < self.x,
                "south": (to.x == self.x) & (to.y > self.y),
                "north": (to.x == self.x) & (to.y < self.y),
            }
            here = (to.x == self.x) & (to.y == self.y)
            heads.append(head)
            wants.append([beside[side] for side in self.leaves])
            wants[-1] += [here & (to.local == sink) for sink in range(self.sinks)]

        # Each output, from those inputs that may go there.
        goes = [C(0)] * len(inputs)
        for place, (side, departure) in enumerate(zip(outputs, self.departures, strict=True)):
            feeds = [number for number, came in enumerate(inputs) if may_go(came, side)]
            turns = Turns(self.shape, count=len(feeds), whole=self.whole)
            m.submodules[f"turns_{place}"] = shared(turns, platform)
            for flits, number in zip(turns.flits, feeds, strict=True):
                wanted = Signal(name=f"wanted_{place}_{number}")
                m.d.comb += [
                    wanted.eq(wants[number][place]),
                    flits.valid.eq(heads[number].valid & wanted),
                    flits.payload.eq(heads[number].payload),
                ]
                goes[number] = Mux(wanted, flits.ready, goes[number])
            wiring.connect(m, turns.merged, wiring.flipped(departure))
        m.d.comb += [head.ready.eq(go) for head, go in zip(heads, goes, strict=True)]
        return m
