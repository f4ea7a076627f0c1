"""The AXI4 port keeps AXI's rules: every burst, size, ID and strobe, on both simulators."""

import random
from pathlib import Path

import pytest
from amaranth.sim import Simulator
from openppu.common.axi import AxiSignature, BurstStep
from openppu.config import load
from openppu.hbm.axi import AxiPort
from openppu.hbm.axi_channel import AxiChannel, AxiController, AxiPorted
from openppu.hbm.config import ChannelConfig
from openppu.hbm.settings import Settings
from openppu.hbm.status import PowerUp
from openppu.verilog import emit
from openppu_sim.simulator.cocotb_runner import simulate
from openppu_verif.ends import run
from openppu_verif.hbm.axi_burst import FIXED, INCR, WRAP, Burst
from openppu_verif.native.model import control, module_ports

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
    # The channel alone on one simulator, with all that is around it on the other.
    part: AxiPorted = AxiChannel(ChannelConfig(**config), id_bits=ID_BITS)
    if sim == "icarus":
        start = PowerUp(settings=Settings(write_high=config["writes"] - 2, write_low=1), fill=0)
        part = AxiController(ChannelConfig(**config), id_bits=ID_BITS, start=start)
    emit(part, top="axi_channel", config=load("tiny")).write(path)
    simulate(
        path,
        top="axi_channel",
        test_module="openppu_verif.hbm.test_axi_channel",
        build_root=build_root,
        sim=sim,
        parameters={"config": config, "turns": 12, "build_root": str(build_root)},
        control=control(module_ports(path.read_text()), "axi_channel"),
    )


@pytest.mark.parametrize("seed", range(8))
def test_after_a_reset_nothing_is_left_of_what_was_before(seed: int) -> None:
    dut = AxiPort(ChannelConfig(tags=2), id_bits=ID_BITS)
    chance = random.Random(seed)
    offered = {"awvalid": 0.5, "wvalid": 0.8, "arvalid": 0.5, "bready": 0.3, "rready": 0.7}
    bursts = ("awid", "awaddr", "awlen", "awsize", "awburst", "arid", "araddr", "arlen", "arsize", "arburst")

    def disturb(ctx, cycle):  # type: ignore[no-untyped-def]
        for name, rate in offered.items():
            ctx.set(getattr(dut.axi, name), chance.random() < rate)
        for name in bursts:
            port = getattr(dut.axi, name)
            # Short bursts, so that there are many.
            ctx.set(port, chance.getrandbits(2 if name.endswith("len") else len(port)))
        ctx.set(dut.axi.wstrb, chance.getrandbits(32))
        for stream in (dut.requests, dut.words):
            ctx.set(stream.ready, chance.random() < 0.3)
        for stream in (dut.responses, dut.acknowledges):
            ctx.set(stream.valid, chance.random() < 0.4)
        ctx.set(dut.responses.payload.tag, chance.randrange(2))

    seen: list[tuple[str, object]] = []

    def step(ctx, cycle):  # type: ignore[no-untyped-def]
        # A write of two beats and strobes, then a read of one of its words.
        idle = dict.fromkeys(bursts, 0) | dict.fromkeys(offered, 0)
        values = idle | {"bready": 1, "rready": 1, "awlen": 1, "awsize": 5, "awburst": 1, "awvalid": cycle == 1}
        values |= {"awid": 3, "wdata": cycle, "wstrb": 0xF, "wvalid": 3 <= cycle < 5, "arvalid": cycle == 20}
        values |= {"arid": 5, "arsize": 5, "arburst": 1, "araddr": 32}
        for name, value in values.items():
            ctx.set(getattr(dut.axi, name), value)
        ctx.set(dut.requests.ready, 1)
        ctx.set(dut.words.ready, 1)
        ctx.set(dut.acknowledges.valid, cycle == 15)
        ctx.set(dut.responses.valid, cycle == 30)
        ctx.set(dut.responses.payload, {"data": 77, "tag": 1, "last": 1})
        if ctx.get(dut.requests.valid):
            request = ctx.get(dut.requests.payload)
            seen.append(("request", (request.write, request.address, request.last)))
        if ctx.get(dut.words.valid):
            word = ctx.get(dut.words.payload)
            seen.append(("word", (word.data & 0xFFFFFFFF, word.mask)))
        if ctx.get(dut.axi.bvalid):
            seen.append(("b", ctx.get(dut.axi.bid)))
        if ctx.get(dut.axi.rvalid):
            seen.append(("r", (ctx.get(dut.axi.rid), ctx.get(dut.axi.rdata), ctx.get(dut.axi.rlast))))
        return cycle == 50

    run(dut, step, most=51, noise=disturb)
    answers = [("b", 3), ("r", (5, 77, 1))]
    assert sorted(seen, key=str) == sorted(
        [("request", (1, 0, 1)), ("request", (0, 1, 0)), ("word", (3, 15)), ("word", (4, 15)), *answers]
    ), f"seed {seed}"


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
