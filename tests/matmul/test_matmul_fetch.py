"""The fetch of an operand by itself: rows and columns in order and whole, however slowly they are taken."""

import random
from collections import deque
from typing import Any

import numpy as np
import pytest
from openppu.config import load
from openppu.matmul.operand_fetch import OperandFetch
from openppu.matmul.sizes import Sizes
from openppu_verif.ends import Put, Take, run

SIZES = Sizes.of(load("tiny"))
SIDE = 4
WORD = SIZES.word_bytes
MEMORY = np.random.default_rng(1).integers(0, 256, 1 << 15).astype(np.uint8)


def nest(chance: random.Random) -> dict[str, Any]:
    """A walk over a matrix, as the engine gives it for A, or for B that is stored transposed (``short_in_middle``)."""
    wide, transposed = chance.randint(0, 1), chance.randint(0, 1)
    return dict(
        outer=chance.randint(1, 3),
        middle=chance.randint(1, 3),
        third=chance.randint(1, 3) if transposed else 1,
        inner=SIDE if transposed else chance.randint(1, 9),
        short=chance.randint(1, SIDE),
        short_in_middle=chance.randint(0, 1),
        base=chance.randrange(0, 4096, 8),
        outer_stride=chance.randrange(0, 2048, 8),
        middle_stride=chance.randrange(0, 2048, 8),
        third_stride=chance.randrange(0, 512, 8),
        inner_stride=chance.randrange(0, 256, 8),
        context=dict(wide=wide, transposed=transposed, columns=SIDE, short=chance.randint(1, SIDE)),
    )


def rows_of(walk: dict[str, Any]) -> list[list[int | None]]:
    """What must come of a walk; a lane that may hold anything is None."""
    context, found = walk["context"], []
    kind = "<u2" if context["wide"] else "u1"
    for outer in range(walk["outer"]):
        for middle in range(walk["middle"]):
            last = middle == walk["middle"] - 1 if walk["short_in_middle"] else outer == walk["outer"] - 1
            count = walk["short"] if last else walk["inner"]
            for third in range(walk["third"]):
                start = walk["base"] + outer * walk["outer_stride"] + middle * walk["middle_stride"]
                start += third * walk["third_stride"]
                places = [start + inner * walk["inner_stride"] for inner in range(count)]
                rows = [MEMORY[place : place + 8].view(kind)[:SIDE].tolist() for place in places]
                if context["transposed"]:
                    columns = context["short"] if third == walk["third"] - 1 else context["columns"]
                    rows += [[None] * SIDE] * (SIDE - count)
                    rows = [[row[column] for row in rows] for column in range(columns)]
                found += rows
    return found


@pytest.mark.parametrize("taken", [1.0, 0.3, 0.05])
def test_rows_and_columns_come_in_order(taken):
    chance = random.Random(round(100 * taken))
    walks = [nest(chance) for _ in range(24 if taken == 1 else 8)]
    fetch = OperandFetch(SIZES, side=SIDE, lanes=SIDE, short_columns="third")
    nests = Put(fetch.nests, chance)
    nests.waiting.extend(walks)
    reads, rows = Take(fetch.port.requests, chance, rate=min(1.0, 3 * taken)), Take(fetch.rows, chance, rate=taken)
    expected = deque(row for walk in walks for row in rows_of(walk))
    answers: deque[tuple[int, int]] = deque()
    ended = 0

    def each_cycle(ctx: Any, cycle: int) -> bool:
        nonlocal ended
        for end in (nests, reads, rows):
            end.drive(ctx)
        arrives = bool(answers) and answers[0][0] == cycle
        ctx.set(fetch.port.results.valid, arrives)
        if arrives:
            place = answers.popleft()[1] * WORD
            ctx.set(fetch.port.results.payload.data, int.from_bytes(MEMORY[place : place + WORD].tobytes(), "little"))
        nests.sample(ctx)
        ended += ctx.get(fetch.ends.valid)
        request = reads.sample(ctx)
        if request is not None:
            answers.append((cycle + 4, request.address))
        row = rows.sample(ctx)
        if row is not None:
            wanted = expected.popleft()
            got = [row[lane] for lane in range(SIDE)]
            assert all(want is None or want == have for want, have in zip(wanted, got, strict=True)), cycle
        return not expected

    run(fetch, each_cycle, most=60_000)
    assert ended == len(walks)
