"""Place and route: the harness leaves nothing out, and nextpnr's report is read right."""

import copy
from pathlib import Path
from typing import Any

import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator
from openppu_sim.errors import SimulationError
from openppu_sim.synthesis import pnr
from openppu_sim.synthesis.harness import Harness
from openppu_sim.synthesis.place import DEVICE, PACKAGE, Placement, arguments, read_report

SEED = 7
CLOCK = "posedge $glbnet$clk"
REPORT: dict[str, Any] = {
    "fmax": {"$glbnet$clk": {"achieved": 91.5, "constraint": 85}},
    "critical_paths": [
        {"from": "<async>", "to": CLOCK, "path": []},
        {
            "from": CLOCK,
            "to": CLOCK,
            "path": [
                {"type": "clk-to-q", "delay": 0.5, "from": {"cell": "start"}, "to": {"cell": "start"}},
                {"type": "routing", "delay": 1.5, "from": {"cell": "start"}, "to": {"cell": "table"}},
                {"type": "logic", "delay": 0.25, "from": {"cell": "table"}, "to": {"cell": "table"}},
                {"type": "routing", "delay": 2.0, "from": {"cell": "table"}, "to": {"cell": "end"}},
                {"type": "setup", "delay": 0.0, "from": {"cell": "end"}, "to": {"cell": "end"}},
            ],
        },
    ],
    "utilization": {
        "TRELLIS_COMB": {"available": 83640, "used": 100},
        "TRELLIS_FF": {"available": 83640, "used": 50},
        "MULT18X18D": {"available": 156, "used": 16},
        "DP16KD": {"available": 208, "used": 8},
    },
}


def placement(fmax: float) -> Placement:
    return Placement(
        fmax=fmax, start="a", end="b", logic=3.0, routing=7.0, used={"comb": 1, "ff": 2, "dsp": 3, "ebr": 4}
    )


def test_report_is_read() -> None:
    assert read_report(REPORT, source=Path("r.json")) == Placement(
        fmax=91.5, start="start", end="end", logic=0.75, routing=3.5, used={"comb": 100, "ff": 50, "dsp": 16, "ebr": 8}
    )


@pytest.mark.parametrize("key", [*REPORT])
def test_report_without_a_part_is_refused(key: str) -> None:
    report = copy.deepcopy(REPORT)
    report[key] = {}
    with pytest.raises(SimulationError, match=r"r\.json: not a report of nextpnr"):
        read_report(report, source=Path("r.json"))
    del report[key]
    with pytest.raises(SimulationError, match=r"r\.json: not a report of nextpnr"):
        read_report(report, source=Path("r.json"))


def test_second_clock_is_refused() -> None:
    report = copy.deepcopy(REPORT)
    report["fmax"]["other"] = {"achieved": 50.0}
    with pytest.raises(SimulationError, match="2 clocks"):
        read_report(report, source=Path("r.json"))


def test_row_gives_the_best_seed_and_what_the_others_reached() -> None:
    clocks = {1: placement(80.0), 2: placement(90.0), 3: placement(81.0)}
    row = pnr.row(pnr.Design("bf16", 4, 85, goal=True), clocks)
    assert (row["value"], row["seed"], row["median"]) == (90.0, 2, 81.0)
    assert row["each_seed"] == "80.0, 90.0, 81.0"
    assert (row["goal"], row["better"]) == (85, "higher")
    headers, lines = pnr.table([row])
    assert dict(zip(headers, lines[0], strict=True)) | {"met": "yes", "each seed": row["each_seed"]} == dict(
        zip(headers, lines[0], strict=True)
    )


def test_command_line_names_device_and_seed() -> None:
    line = " ".join(arguments("top", "report.json", seed=5, target=85.0))
    assert f"--{DEVICE} --package {PACKAGE} --speed 6" in line
    assert "--seed 5 --freq 85 " in line


class Adder(wiring.Component):
    """A part to put into the harness: 7 bits in, 4 bits out."""

    a: In(3)
    b: In(4)
    total: Out(4)

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.total.eq(self.a + self.b)
        return m


def serial_outputs(changed: int | None) -> list[int]:
    """What the harness gives for a fixed input stream with one bit inverted."""
    stimulus = [(0x5A3C9 * SEED >> place % 19) & 1 for place in range(40)]
    if changed is not None:
        stimulus[changed] ^= 1
    seen = []

    async def bench(ctx):  # type: ignore[no-untyped-def]
        for bit in stimulus:
            ctx.set(harness.serial_in, bit)
            await ctx.tick()
            seen.append(ctx.get(harness.serial_out))

    harness = Harness(Adder())
    simulator = Simulator(harness)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return seen


def test_every_input_reaches_the_output_through_the_part() -> None:
    plain = serial_outputs(None)
    assert any(plain), f"nothing but zeros for seed {SEED}"
    # Bit 10 passes the shift register, the adder and the fold; without the adder it would change one place alone.
    changes = sum(a != b for a, b in zip(plain, serial_outputs(10), strict=True))
    assert changes > 1, f"seed {SEED}: {changes} outputs changed"
