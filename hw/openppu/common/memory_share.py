"""Several users of one memory port."""

from typing import Any

from amaranth import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, fifo, wiring
from amaranth.lib.wiring import In, Out

from openppu.common.choose import KeptTurns
from openppu.common.memory import MOST_WORDS, MemorySignature
from openppu.common.shared import shared

WRITES = 8
"""Writes whose words have not all gone."""


class MemoryShare(wiring.Component):
    """Takes the users' requests in turns. Each has tags of its own at the port, and sees its own answers alone.

    A write's words go when it is their turn; a user that is late with its own holds up those of the writes behind it,
    and no reads.

    Latency: 0 cycles. Throughput: a request, a word each way, and an acknowledge a cycle.

    Parameters
    ----------
    users : tuple of int
        The tags of each, at least 1.

    Members
    -------
    user_0, user_1, ... : In(MemorySignature)
        ``user_n`` has ``users[n]`` tags.
    memory : Out(MemorySignature)
        With as many tags as all users have.

    Raises
    ------
    ValueError
        If there are no users, or one has no tags.
    """

    def __init__(self, users: tuple[int, ...]):
        if not users or min(users) < 1:
            raise ValueError(f"MemoryShare users = {users}: give the tags of each, at least 1")
        self.users = tuple(users)
        super().__init__(
            {
                **{f"user_{number}": In(MemorySignature(tags=tags)) for number, tags in enumerate(users)},
                "memory": Out(MemorySignature(tags=sum(users))),
            }
        )

    def user(self, number: int) -> Any:
        """The port of a user."""
        return getattr(self, f"user_{number}")

    def elaborate(self, platform):
        m = Module()
        memory, users = self.memory, [self.user(number) for number in range(len(self.users))]
        bases = [sum(self.users[:number]) for number in range(len(users))]
        turns = KeptTurns(len(users))
        m.submodules.turns = shared(turns, platform)
        write_shape = data.StructLayout({"user": range(len(users)), "last": range(MOST_WORDS)})
        m.submodules.writes = writes = fifo.SyncFIFOBuffered(width=write_shape.size, depth=WRITES)

        pick = turns.pick
        taken = Signal()
        asked = {
            name: Array(user.requests.payload[name] for user in users)[pick]
            for name in ("write", "address", "last", "tag")
        }
        m.d.comb += [
            turns.requests.eq(
                Cat(user.requests.valid & (~user.requests.payload.write | writes.w_rdy) for user in users)
            ),
            taken.eq(turns.valid & memory.requests.ready),
            turns.served.eq(taken),
            memory.requests.valid.eq(turns.valid),
            *(memory.requests.payload[name].eq(asked[name]) for name in ("write", "address", "last")),
            memory.requests.payload.tag.eq(asked["tag"] + Array(bases)[pick]),
            *(user.requests.ready.eq(taken & (pick == number)) for number, user in enumerate(users)),
            writes.w_en.eq(taken & asked["write"]),
            writes.w_data.eq(Cat(pick, asked["last"])),
        ]

        turn = write_shape(writes.r_data)
        sent = Signal(range(MOST_WORDS))
        moves = Signal()
        m.d.comb += [
            memory.words.payload.eq(Array(user.words.payload.as_value() for user in users)[turn.user]),
            memory.words.valid.eq(writes.r_rdy & Array(user.words.valid for user in users)[turn.user]),
            moves.eq(memory.words.valid & memory.words.ready),
            *(user.words.ready.eq(moves & (turn.user == number)) for number, user in enumerate(users)),
            writes.r_en.eq(moves & (sent == turn.last)),
        ]
        with m.If(moves):
            m.d.sync += sent.eq(Mux(sent == turn.last, 0, sent + 1))

        for name in ("responses", "acknowledges"):
            port = getattr(memory, name)
            for number, user in enumerate(users):
                seen, base = getattr(user, name), bases[number]
                tag, end = port.payload.tag, base + self.users[number]
                mine = (tag >= base if base else 1) & (tag < end if number + 1 < len(users) else 1)
                m.d.comb += [
                    *(seen.payload[key].eq(port.payload[key]) for key, _ in port.payload.shape() if key != "tag"),
                    seen.payload.tag.eq(port.payload.tag - base),
                    seen.valid.eq(port.valid & mine),
                ]
                with m.If(mine):
                    m.d.comb += port.ready.eq(seen.ready)
        return m
