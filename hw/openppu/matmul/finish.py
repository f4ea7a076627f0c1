"""Says how each command ended, in their order."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.command.error import Error, finished_layout
from openppu.matmul.operand_fetch import read_end_layout
from openppu.tile.tag_queue import TagQueue


def begun_layout() -> data.StructLayout:
    """A command that was refused (``error``), or what there is to wait for beside its operands."""
    return data.StructLayout({"error": Error, "adds": 1, "writes": 1})


class Finish(wiring.Component):
    """Waits, for each command, until all of it has been read and written.

    Latency: 2 cycles from the last event of a command. Throughput: a command a cycle.

    Parameters
    ----------
    commands : int, at least 2
        That are worked on at a time, the refused ones included.

    Members
    -------
    begun : In(stream of begun_layout)
        In the order of the commands.
    activations, weights, addends : In(stream of read_end_layout, always ready)
        A command's reads have all come.
    writes : In(stream, always ready)
        A command's last write was taken.
    finished : Out(stream of finished_layout)
    none : Out(1)
        No command is being worked on.
    """

    def __init__(self, *, commands: int):
        self.commands = commands
        ends = stream.Signature(read_end_layout(), always_ready=True)
        super().__init__(
            {
                "begun": In(stream.Signature(begun_layout())),
                "activations": In(ends),
                "weights": In(ends),
                "addends": In(ends),
                "writes": In(stream.Signature(data.StructLayout({}), always_ready=True)),
                "finished": Out(stream.Signature(finished_layout())),
                "none": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = TagQueue(begun_layout(), depth=self.commands)
        wiring.connect(m, wiring.flipped(self.begun), queue.i)
        head = queue.o.payload
        refused = Signal()
        complete = Signal()
        pop = Signal()
        m.d.comb += refused.eq(head.error != Error.OKAY)

        # Each holds what has ended of commands in the queue, so it never fills.
        there = Signal()
        wrong = Signal()
        waits, errors = [], []
        for name, needed in {"activations": 1, "weights": 1, "addends": head.adds, "writes": head.writes}.items():
            end = getattr(self, name)
            needs = Signal(name=f"needs_{name}")
            m.submodules[name] = ends = TagQueue(read_end_layout(), depth=self.commands)
            m.d.comb += [
                needs.eq(~refused & needed),
                ends.i.valid.eq(end.valid),
                ends.o.ready.eq(pop & needs),
            ]
            if name != "writes":
                m.d.comb += ends.i.payload.eq(end.payload)
            waits.append(needs & ~ends.o.valid)
            errors.append(needs & ends.o.payload.error)
        m.d.comb += [
            there.eq(~Cat(waits).any()),
            wrong.eq(Cat(errors).any()),
            complete.eq(queue.o.valid & there),
            self.none.eq(~queue.o.valid),
            pop.eq(complete & (~self.finished.valid | self.finished.ready)),
            queue.o.ready.eq(pop),
        ]
        with m.If(~self.finished.valid | self.finished.ready):
            m.d.sync += [
                self.finished.valid.eq(complete),
                self.finished.payload.error.eq(
                    Mux(refused, head.error.as_value(), Mux(wrong, Error.MEMORY.value, Error.OKAY.value))
                ),
            ]
        return m
