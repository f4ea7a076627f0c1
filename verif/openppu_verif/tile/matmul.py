"""One workload on the tile, for `openppu_sim.simulator.tile_cocotb`: not judged here, but for the streams' rules.

`parameters`: ``tile``, the fields of the `TileConfig`; ``work`` and ``outcome``, the files to read and to write;
``most_cycles``, when to give up.
"""

from typing import Any

import cocotb
import numpy as np
from openppu.config import TileConfig
from openppu_sim.lowering.tile import TileCommand
from openppu_sim.simulator.cocotb_runner import parameters
from openppu_sim.simulator.tile import Workload

from openppu_verif.tile.environment import Environment


@cocotb.test()
async def run_workload(dut: Any) -> None:
    """Run the commands of ``work`` and write what came of them to ``outcome``."""
    given = parameters()
    config = TileConfig(**given["tile"])
    with np.load(given["work"]) as work:
        fields = [str(name) for name in work["fields"]]
        commands = [TileCommand(**dict(zip(fields, row, strict=True))) for row in work["commands"].tolist()]
        workload = Workload(
            commands=commands, activations=work["activations"], weights=work["weights"], addends=work["addends"]
        )
    environment = Environment(dut, config)
    await environment.power_up()
    observation = await environment.run(workload, most_cycles=given["most_cycles"])
    rows = len(observation.results)
    assert rows == workload.results, f"{rows} of {workload.results} result rows in {observation.timeline.size} cycles"
    assert not observation.left, f"not taken: {observation.left}"
    np.savez(
        given["outcome"],
        results=observation.results,
        last=observation.last,
        timeline=observation.timeline,
        cycles=observation.cycles,
    )
