"""The AXI4 port keeps AXI's rules: every burst, size, ID and strobe, on both simulators."""

from pathlib import Path

import pytest
from amaranth.sim import Simulator
from openppu.common.axi import AxiSignature, BurstStep
from openppu.config import load
from openppu.hbm.axi import AxiPort
from openppu.hbm.axi_channel import AxiChannel
from openppu.hbm.config import ChannelConfig
from openppu.verilog import emit
from openppu_sim.simulator.cocotb_runner import simulate
from openppu_verif.hbm.axi_burst import FIXED, INCR, WRAP, Burst

CONFIG = {"height": 12, "tags": 4}
ID_BITS = 4


@pytest.fixture(scope="module")
def verilog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The port's Verilog; its 12-high stack leaves addresses beyond the capacity."""
    path = tmp_path_factory.mktemp("axi") / "axi_port.v"
    emit(AxiPort(ChannelConfig(**CONFIG), id_bits=ID_BITS), top="axi_port", config=load("tiny")).write(path)
    return path


@pytest.mark.parametrize(("rate", "turns"), [(1.0, 60), (0.5, 30)])
def test_the_port_keeps_axi_rules(sim: str, verilog: Path, build_root: Path, rate: float, turns: int) -> None:
    given = {"config": CONFIG, "rate": rate, "turns": turns}
    simulate(
        verilog,
        top="axi_port",
        test_module="openppu_verif.hbm.test_axi",
        build_root=build_root,
        sim=sim,
        parameters=given,
    )


def test_bursts_reach_the_memory_and_come_back(sim: str, tmp_path: Path, build_root: Path) -> None:
    config = {"height": 4, "ports": 2, "tags": 2, "reads": 8, "writes": 8, "slots": 8}
    path = tmp_path / "axi_channel.v"
    emit(AxiChannel(ChannelConfig(**config), id_bits=ID_BITS), top="axi_channel", config=load("tiny")).write(path)
    simulate(
        path,
        top="axi_channel",
        test_module="openppu_verif.hbm.test_axi_channel",
        build_root=build_root,
        sim=sim,
        parameters={"config": config, "turns": 12, "build_root": str(build_root)},
    )


@pytest.mark.parametrize("size", [1, 2, 8, 32])
@pytest.mark.parametrize(("kind", "length"), [(FIXED, 3), (INCR, 9), (WRAP, 2), (WRAP, 8), (WRAP, 16)])
def test_addresses_go_from_beat_to_beat_as_axi_says(kind: int, length: int, size: int) -> None:
    dut = BurstStep()
    starts = range(0, 1024, size) if kind == WRAP else range(0, 256)
    bursts = [Burst(start, length, size, kind) for start in starts]

    async def bench(ctx):  # type: ignore[no-untyped-def]
        for burst in bursts:
            ctx.set(dut.length, length - 1)
            ctx.set(dut.size, size.bit_length() - 1)
            ctx.set(dut.burst, kind)
            ctx.set(dut.address, burst.address)
            for expected in burst.addresses():
                assert ctx.get(dut.address) == expected, burst
                ctx.set(dut.address, ctx.get(dut.following))

    simulator = Simulator(dut)
    simulator.add_testbench(bench)
    simulator.run()


def test_widths_that_axi_does_not_know_are_refused() -> None:
    with pytest.raises(ValueError, match="AXI data_bits = 48: give a power of two from 8 to 1024"):
        AxiSignature(id_bits=4, address_bits=32, data_bits=48)
