"""Goes through the steps of a job."""

from amaranth import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from openppu.command.error import Error
from openppu.dma.layouts import COUNT_BITS, LEVELS, job_layout, step_layout


class Walker(wiring.Component):
    """Five nested loops. Each step has the addresses of its turn; after the last comes one that is the ``end``.

    A refused job has the end alone. Latency: 1 cycle. Throughput: one step a cycle.

    Members
    -------
    jobs : In(stream of job_layout())
        Taken with the end; stays until then.
    steps : Out(stream of step_layout())
    """

    LATENCY = 1

    def __init__(self):
        super().__init__({"jobs": In(stream.Signature(job_layout())), "steps": Out(stream.Signature(step_layout()))})

    def elaborate(self, platform):
        m = Module()
        job = self.jobs.payload
        walking = Signal()
        # Where the present turn of each loop began.
        fields = ("memory", "scratchpad", "height", "width")
        starts = [
            {name: Signal(len(job[name]), name=f"{name}_{level}", reset_less=True) for name in fields}
            for level in range(LEVELS)
        ]
        turns = [Signal(COUNT_BITS, name=f"turn_{level}") for level in range(LEVELS)]
        ends = Signal(LEVELS)
        over = Signal()
        step = self.steps.payload
        m.d.comb += [
            ends.eq(Cat(turn == level.last for turn, level in zip(turns, job.levels, strict=True))),
            self.steps.valid.eq(walking),
            step.end.eq(over),
            self.jobs.ready.eq(walking & over & self.steps.ready),
        ]
        for name in fields:
            m.d.comb += step[name].eq(starts[0][name])

        takes = Signal()
        m.d.comb += takes.eq(walking & self.steps.ready)
        with m.If(~walking):
            with m.If(self.jobs.valid):
                m.d.sync += [walking.eq(1), over.eq(job.error != Error.OKAY)]
                for start, turn in zip(starts, turns, strict=True):
                    m.d.sync += turn.eq(0)
                    m.d.sync += [start[name].eq(job[name]) for name in fields]
        with m.Elif(takes & over):
            m.d.sync += walking.eq(0)
        with m.Elif(takes):
            m.d.sync += over.eq(ends.all())
            for level in range(LEVELS):
                # The innermost loop that is not at its last turn goes on; those inside it begin again where it is then.
                goes_on = ~ends[level] & ends[:level].all()
                with m.If(goes_on):
                    m.d.sync += turns[level].eq(turns[level] + 1)
                    for inner in range(level):
                        m.d.sync += turns[inner].eq(0)
                    for name in fields:
                        onwards = Signal(len(job[name]), name=f"{name}_onwards_{level}")
                        m.d.comb += onwards.eq(starts[level][name] + job.levels[level][name])
                        for inner in range(level + 1):
                            m.d.sync += starts[inner][name].eq(onwards)
        return m
