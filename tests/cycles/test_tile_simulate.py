"""The cycle-by-cycle model of the tile: against the documented figures, and against events counted another way."""

import numpy as np
import pytest
from openppu.config import TileConfig
from openppu_sim.cycles.tile import Cause, CycleReport, Stalls, simulate
from openppu_sim.report.run import CAUSES
from random_tile import BF16, command, random_case, random_stalls
from recurrence import event_times

SMALL = TileConfig(rows=2, columns=2, formats=("int8",), latency=1, accumulators=8, outstanding=4)
LETTERS = "CWAODafd."


def letters(report: CycleReport) -> str:
    """The timeline, a letter a cycle: Compute Weights Addends Output Dependence activations fill drain, . for idle."""
    return "".join(LETTERS[cause] for cause in report.timeline)


def test_causes_have_the_names_and_codes_of_the_reports() -> None:
    assert tuple(cause.name.lower() for cause in Cause) == CAUSES


@pytest.mark.parametrize("m", [1, 2, 5])
@pytest.mark.parametrize("k", [1, 3, 4])
@pytest.mark.parametrize("columns", [1, 6])
@pytest.mark.parametrize("latency", [2, 4])
def test_one_block_on_an_idle_tile_takes_the_documented_cycles(m: int, k: int, columns: int, latency: int) -> None:
    config = TileConfig(rows=4, columns=columns, formats=("bf16",), latency=latency, accumulators=8)
    report = simulate([command(format=BF16, m=m, k_last=k)], config)
    assert report.cycles == report.busy_cycles == k + m + 4 * latency + columns + 9
    assert (report.rows, report.results, report.commands, report.refused) == (m, m, 1, 0)


@pytest.mark.parametrize("m", [1, 3, 4, 9])
def test_a_block_takes_the_longer_of_its_rows_and_its_weights_in_steady_state(m: int) -> None:
    config = TileConfig(rows=4, columns=4, formats=("bf16",), latency=3, accumulators=64)
    short, long = (simulate([command(format=BF16, m=m, n_blocks=4, k_blocks=k, k_last=4)], config) for k in (3, 13))
    assert long.cycles - short.cycles == 10 * 4 * max(m, 4)


def test_a_single_row_step_by_step() -> None:
    report = simulate([command(k_last=2)], SMALL)
    # Taken, queued, requested; two weight rows; the row; R*L + C + 5 cycles to the read-out and one to the result.
    assert letters(report) == "fff" + "WW" + "C" + "d" * 10
    assert report.by_cause() == dict.fromkeys(CAUSES, 0) | {"fill": 3, "weights": 2, "compute": 1, "drain": 10}


def test_a_row_waits_for_its_own_accumulator() -> None:
    report = simulate([command(k_blocks=2, k_last=2)], SMALL)
    # Issued in cycle 5, free again R*L + 3 = 5 cycles later. The second weights are there in cycle 7.
    assert letters(report)[5:11] == "C" + "W" + "DDD" + "C"


def test_a_row_waits_for_an_emitted_accumulator_that_is_held_outside() -> None:
    stalls = Stalls(results=[False] * 30)
    report = simulate([command(m=2), command(m=2)], SMALL, stalls)
    # Rows issue in cycles 4 and 5; the first is read out in 13 and held from 14 on; its accumulator is free in 14.
    # The second is free only once it is read out, in the cycle in which the first is taken: 30.
    assert letters(report)[4:32] == "CC" + "D" * 8 + "C" + "O" * 15 + "D" + "C"
    assert report.results == 4


def test_a_row_waits_for_its_addend() -> None:
    stalls = Stalls(addends=[False] * 10)
    assert letters(simulate([command(addend=2)], SMALL, stalls))[:12] == "fffW" + "A" * 6 + "C" + "d"
    assert letters(simulate([command(addend=1)], SMALL, stalls))[:6] == "fffWCd"
    assert letters(simulate([command(addend=2, emit=0)], SMALL)) == "fffWC" + "d" * 4


def test_rows_wait_for_activations() -> None:
    assert letters(simulate([command()], SMALL, memory_latency=4))[:9] == "fff" + "aaa" + "WCd"
    late_answer = simulate([command()], SMALL, Stalls(activations=[False] * 7))
    assert letters(late_answer)[:9] == "fff" + "aaaa" + "Cd"
    late_request = simulate([command()], SMALL, Stalls(activation_requests=[False] * 7))
    assert letters(late_request)[:10] == "ff" + "aaaaa" + "f" + "Cd"


def test_late_weights_are_named() -> None:
    for stalls in (Stalls(weights=[False] * 8), Stalls(weight_requests=[False] * 7)):
        assert letters(simulate([command()], SMALL, stalls))[:11] == "fff" + "W" * 6 + "Cd"


def test_cycles_count_from_the_first_command_taken() -> None:
    stalls = Stalls(commands=[False] * 20, results=[True] * 100)
    assert simulate([command()], SMALL, stalls) == simulate([command()], SMALL)


def test_a_late_command_leaves_the_tile_idle() -> None:
    alone = letters(simulate([command()], SMALL))
    apart = simulate([command(), command()], SMALL, Stalls(commands=[True] + [False] * 39))
    assert letters(apart) == alone + "." * (40 - len(alone)) + alone


def test_a_refused_command_is_taken_and_has_no_other_effect() -> None:
    wrong = [{"m": 0}, {"n_blocks": 0}, {"k_blocks": 0}, {"k_last": 0}, {"k_last": 3}, {"addend": 3}, {"format": BF16}]
    report = simulate([command(**fields) for fields in wrong], SMALL)
    assert letters(report) == "f" * len(wrong)
    assert (report.commands, report.refused, report.rows, report.results) == (len(wrong), len(wrong), 0, 0)

    good = simulate([command(k_last=2)], SMALL)
    after = simulate([command(k_last=2), command(m=0)], SMALL)
    assert (after.cycles, after.totals, after.refused) == (good.cycles, good.totals, 1)


def test_cycles_end_with_the_last_result_and_busy_cycles_with_the_last_accumulator() -> None:
    report = simulate([command(), command(m=8, k_blocks=3, emit=0)], SMALL)
    assert report.results == 1
    assert report.cycles < report.busy_cycles == report.timeline.size == sum(report.totals)
    silent = simulate([command(emit=0)], SMALL)
    assert letters(silent) == "fffWC" + "d" * 4
    assert silent.cycles == silent.busy_cycles == 9


def test_no_commands_take_no_cycles() -> None:
    report = simulate([], SMALL, Stalls(commands=[False] * 5))
    assert (report.cycles, report.busy_cycles, sum(report.totals)) == (0, 0, 0)


def test_commands_that_come_back_to_back_leave_no_bubble() -> None:
    config = TileConfig(rows=4, columns=4, formats=("int8", "bf16"), latency=3, accumulators=64)
    commands = [command(format=(0, 4)[i % 2], m=4, k_last=4, accumulator=4 * i % 64) for i in range(200)]
    assert "C" * 800 in letters(simulate(commands, config))


def test_an_impossible_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="memory_latency = 0: an answer takes at least 1 cycle"):
        simulate([], SMALL, memory_latency=0)


@pytest.mark.parametrize("batch", range(8))
def test_random_sequences_agree_with_event_times(batch: int) -> None:
    for seed in range(100 * batch, 100 * batch + 100):
        commands, config = random_case(seed)
        memory_latency = 1 + seed % 3
        stalls = random_stalls(seed, 400) if seed % 5 else Stalls()
        report = simulate(commands, config, stalls, memory_latency=memory_latency)
        taken, issued, results = event_times(commands, config, stalls, memory_latency)
        where = f"random_case({seed}), random_stalls({seed}, 400), memory_latency={memory_latency}"
        rows = np.flatnonzero(report.timeline == Cause.COMPUTE) + taken[0]
        assert rows.tolist() == issued, where
        assert report.results == len(results), where
        assert report.cycles == (results[-1] + 1 - taken[0] if results else report.busy_cycles), where
        assert report.busy_cycles >= max([report.cycles, taken[-1] + 1 - taken[0]]), where
        assert sum(report.totals) == report.busy_cycles, where
        assert report.timeline[-1] != Cause.IDLE, where
