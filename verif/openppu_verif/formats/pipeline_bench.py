"""Pipelined components side by side in one Verilated model, driven at native speed with arrays."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from amaranth import Module, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import NDArray
from openppu.config import load
from openppu.verilog import emit
from openppu_sim.simulator.verilator import build

MAIN = Path(__file__).with_name("pipeline_bench.cpp")
LEAST_WORDS = 3
"""Verilator keeps ports of 65 bits and more as arrays of words; the C++ main relies on it."""

Words = NDArray[np.uint32]


class SideBySide(wiring.Component):
    """Components that share nothing but the clock; each input and each output has a 32-bit word of its own.

    Parameters
    ----------
    parts : mapping of str to wiring.Component
        The components; no port wider than 32 bits.

    Members
    -------
    stimulus : In(32 x inputs)
    response : Out(32 x outputs)
    """

    def __init__(self, parts: Mapping[str, wiring.Component]):
        self.parts = dict(parts)
        self.inputs: dict[str, Value] = {}
        self.outputs: dict[str, Value] = {}
        for name, part in parts.items():
            for path, member, value in part.signature.flatten(part):
                key = f"{name}.{'.'.join(map(str, path))}"
                ports = self.inputs if member.flow is wiring.In else self.outputs
                ports[key] = Value.cast(value)
                if len(ports[key]) > 32:
                    raise ValueError(f"port {key} has {len(ports[key])} bits; a word has 32")
        super().__init__(
            {
                "stimulus": In(32 * max(len(self.inputs), LEAST_WORDS)),
                "response": Out(32 * max(len(self.outputs), LEAST_WORDS)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        for name, part in self.parts.items():
            m.submodules[name] = part
        for index, value in enumerate(self.inputs.values()):
            m.d.comb += value.eq(self.stimulus.word_select(index, 32))
        for index, value in enumerate(self.outputs.values()):
            m.d.comb += self.response.word_select(index, 32).eq(value)
        return m


class PipelineBench:
    """A Verilated model of pipelined components without handshakes.

    Parameters
    ----------
    name : str
        Name of the model.
    parts : mapping of str to (wiring.Component, int)
        Each component and its latency in cycles, as its documentation states it.
    build_root : Path
        Folder of all that is generated.
    """

    def __init__(self, name: str, parts: Mapping[str, tuple[wiring.Component, int]], build_root: Path):
        self.name = name
        self.latency = {part: latency for part, (_, latency) in parts.items()}
        self.top = SideBySide({part: component for part, (component, _) in parts.items()})
        verilog = build_root / "formats" / f"{name}.v"
        emit(self.top, top=name, config=load("tiny")).write(verilog)
        self.program = build([verilog], name, build_root, cpp_main=MAIN)

    def run(self, inputs: Mapping[str, NDArray]) -> dict[str, Words]:
        """Apply one row of inputs a cycle.

        Parameters
        ----------
        inputs : mapping of str to array of unsigned or signed integers, shape (n,)
            By ``part.port``; an input that is not given is 0.

        Returns
        -------
        dict of str to array of uint32, shape (n,)
            By ``part.port``, the output that comes as many cycles after each row as the part's latency says.

        Raises
        ------
        KeyError
            If there is no such port.
        RuntimeError
            If the model fails.
        """
        rows = len(next(iter(inputs.values())))
        stimulus = np.zeros((rows + max(self.latency.values()), len(self.top.stimulus) // 32), np.uint32)
        columns = {name: index for index, name in enumerate(self.top.inputs)}
        for name, values in inputs.items():
            stimulus[:rows, columns[name]] = values
        process = subprocess.run([self.program], input=stimulus.tobytes(), capture_output=True, check=False)
        if process.returncode != 0:
            raise RuntimeError(f"{self.name} failed (exit code {process.returncode}): {process.stderr.decode()}")
        response = np.frombuffer(process.stdout, np.uint32).reshape(len(stimulus), -1)
        results = {}
        for index, name in enumerate(self.top.outputs):
            latency = self.latency[name.split(".")[0]]
            results[name] = response[latency : latency + rows, index].copy()
        return results
