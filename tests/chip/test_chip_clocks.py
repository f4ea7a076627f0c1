"""Chips whose memory and link have clocks of their own: the same results, whatever the ratios are."""

import numpy as np
import pytest
from openppu.config import ChipConfig, ConfigError, load, presets
from openppu_sim.device.device import Cluster
from openppu_sim.kernels.matmul import MatmulJob, Operand, matmul_programs
from openppu_sim.program.command import Command

ROWS = {f"count_{dimension}": 1 for dimension in range(4)}


def test_the_presets_say_which_clocks_there_are():
    rates = {name: load(name).clock_rates for name in presets()}
    assert all(set(rates[name]) == {"clk"} for name in ("tiny", "demo", "ecp5"))
    assert rates["ppu810e"] == {"clk": 906.0, "hbm_clk": 800.0, "link_clk": 875.0}
    assert set(load("ecp5", ["clocks.domains=separate"]).clock_rates) == {"clk", "hbm_clk"}  # it has no link
    with pytest.raises(ConfigError, match=r"clocks\.domains = \"two\": give one of one, separate"):
        load("tiny", ["clocks.domains=two"])


def test_one_clock_leaves_a_chips_fingerprint_as_it_was():
    tiny = load("tiny")
    assert load("tiny", ["clocks.domains=one"]).fingerprint() == tiny.fingerprint()
    assert load("tiny", ["clocks.domains=separate"]).fingerprint() != tiny.fingerprint()


RATES = [(500.0, 800.0, 375.0), (1234.5, 800.0, 500.0), (311.0, 800.0, 1187.5)]


@pytest.mark.slow
@pytest.mark.parametrize("rates", RATES, ids=["near", "memory and link slow", "memory and link fast"])
def test_two_chips_multiply_and_send_with_three_clocks_each(build_root, monkeypatch, rates):
    chip = load("tiny", ["clocks.domains=separate"])
    # The chip is the same, whatever its clocks are.
    given = dict(zip(("clk", "hbm_clk", "link_clk"), rates, strict=True))
    monkeypatch.setattr(ChipConfig, "clock_rates", property(lambda self: given))
    rng = np.random.default_rng(round(rates[0]))
    a, b = (rng.integers(-128, 128, shape).astype(np.int8) for shape in ((21, 37), (37, 11)))
    job = MatmulJob(
        m=21,
        n=11,
        k=37,
        format="int8",
        a=Operand(address=0x20_0000, stride=37),
        b=Operand(address=0x30_0000, stride=11),
        d=Operand(address=0x40_0000, stride=44),
    )
    data = rng.integers(0, 256, 8192, dtype=np.uint8)
    with Cluster(chip, build_root=build_root) as cluster:
        for device in cluster.devices:
            device.write(0x20_0000, a)
            device.write(0x30_0000, b)
            for queue, program in matmul_programs(chip, job).items():
                device.submit(queue, program)
        cluster[0].write(0x1000, data)
        send = {"source": 0x1000, "target": 0x8000, "bytes": 8192, "chip": 1}
        cluster[0].submit("link", [Command(name="SEND", fields=send, signal=(7, 1), chip=1)])
        take = {"memory": 0x8000, "scratchpad": 0, "row": 8192, **ROWS}
        cluster.wait(100_000)
        cluster[1].submit("load", [Command(name="LOAD", fields=take, wait=(7, 1))])
        cluster.wait(100_000)
        expected = (a.astype(np.int32) @ b.astype(np.int32)).view(np.uint32)
        for device in cluster.devices:
            assert (device.read(0x40_0000, (21, 11), np.uint32) == expected).all()
        assert (cluster[1].read(cluster[1].scratchpad(), 8192, np.uint8) == data).all()
        assert cluster[0].backend.hardware.problems == 0, "rules of the memory devices were broken"
