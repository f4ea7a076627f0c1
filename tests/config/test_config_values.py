"""Presets, overrides and what is derived from them."""

import dataclasses

import pytest
from openppu.config import FORMATS, SECTIONS, ConfigError, TileConfig, load, page, presets
from openppu.hbm.config import ChannelConfig


def test_each_preset_loads_under_its_own_name():
    assert presets() == ["demo", "ecp5", "ppu810e", "tiny"]
    for name in presets():
        chip = load(name)
        assert chip.name == name
        assert chip.source.endswith(f"{name}.toml")


def test_each_preset_gives_every_value(project_root):
    for name in presets():
        text = (project_root / "hw" / "openppu" / "configs" / f"{name}.toml").read_text()
        for cls in SECTIONS.values():
            for field in dataclasses.fields(cls):
                if "doc" in field.metadata:
                    assert f"\n{field.name} = " in text, f"{name}.toml leaves {field.name} to its default"


def test_the_documentation_page_is_the_generated_one(project_root):
    assert (project_root / "docs" / "configuration.md").read_text() == page(), "run `make docs`"


def test_a_file_and_overrides_are_read(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(
        '[chip]\nname = "own"\ncompute_units = 2\nclock_mhz = 100\n'
        '[tile]\nrows = 3\ncolumns = 5\nformats = ["int8"]\nlatency = 1\naccumulators = 8\n'
    )
    chip = load(path, ["tile.rows=7", "tile.formats = fp16, bf16", "tile.latency=4", 'chip.description="a = b"'])
    assert (chip.tile.rows, chip.tile.columns, chip.tile.formats) == (7, 5, ("fp16", "bf16"))
    assert (chip.clock_mhz, chip.description, chip.compute_units) == (100.0, "a = b", 2)
    assert type(chip.clock_mhz) is float
    assert chip.tile.address_bits == 16
    assert (
        load(path, ['tile.formats=["fp16", "bf16"]', "tile.latency=4"]).tile
        == load(path, ["tile.formats=fp16,bf16", "tile.latency=4"]).tile
    )


def test_the_last_override_wins():
    assert load("demo", ["tile.rows=2", "tile.rows=3"]).tile.rows == 3


@pytest.mark.parametrize(
    ("formats", "operand_bits", "has_int", "float_formats"),
    [
        (("int8",), 8, True, ()),
        (("fp8_e5m2", "fp8_e4m3"), 8, False, ("fp8_e4m3", "fp8_e5m2")),
        (("bf16",), 16, False, ("bf16",)),
        (("bf16", "int8"), 16, True, ("bf16",)),
        (FORMATS, 16, True, FORMATS[1:]),
    ],
)
def test_widths_follow_the_formats(formats, operand_bits, has_int, float_formats):
    tile = TileConfig(
        rows=4, columns=4, formats=formats, latency=3 if float_formats else 1, accumulators=64, address_bits=10
    )
    assert tile.operand_bits == operand_bits
    assert tile.has_int == has_int
    assert tile.has_float == bool(float_formats)
    assert tile.float_formats == float_formats
    assert tile.accumulator_bits == 6


def test_an_object_is_checked_however_it_is_made():
    chip = load("demo")
    with pytest.raises(ConfigError, match=r"tile\.rows = 0: give an integer from 1 to 256"):
        chip.replace(rows=0)
    with pytest.raises(ConfigError, match=r"chip\.compute_units = true"):
        dataclasses.replace(chip, compute_units=True)
    with pytest.raises(dataclasses.FrozenInstanceError):
        chip.tile.rows = 3


def test_the_fingerprint_follows_the_contents_alone():
    chip = load("demo")
    same = dataclasses.replace(chip, name="other", description="", source="elsewhere")
    assert same.fingerprint() == chip.fingerprint() == load("demo").fingerprint()
    assert len(chip.fingerprint()) == 12
    changes = {"rows": 9, "columns": 9, "formats": ("bf16",), "latency": 4, "accumulators": 512}
    changes |= {"address_bits": 17, "count_bits": 17, "outstanding": 17}
    prints = [chip.replace(**{name: value}).fingerprint() for name, value in changes.items()]
    memory = {"stacks": 3, "channels": 2, "device": "HBM2_2400", "height": 4, "ports": 1, "tags": 1}
    memory |= {"reads": 8, "writes": 8, "slots": 8, "ecc": "none", "hammer_entries": 8, "retry": True}
    assert set(memory) == {field.name for field in dataclasses.fields(chip.hbm)}
    for name, value in memory.items():
        prints.append(dataclasses.replace(chip, hbm=dataclasses.replace(chip.hbm, **{name: value})).fingerprint())
    link = {"ports": 2, "lanes": 8, "lane_bits": 64, "lane_gbps": 9.0, "fec": True, "crc_bits": 64}
    link |= {"retry": "go_back_n", "window": 128, "credits": 16, "skew_words": 4, "serdes_bits": 40}
    link["recovered_clock"] = True
    assert set(link) == {field.name for field in dataclasses.fields(chip.link)}
    for name, value in link.items():
        prints.append(dataclasses.replace(chip, link=dataclasses.replace(chip.link, **{name: value})).fingerprint())
    prints += [dataclasses.replace(chip, clock_mhz=1.0).fingerprint(), chip.fingerprint()]
    assert set(changes) == {field.name for field in dataclasses.fields(TileConfig)}
    assert len(set(prints)) == len(prints)


def test_the_memory_of_the_full_chip_is_96_gib_and_of_a_file_without_a_section_one_channel(tmp_path):
    hbm = load("ppu810e").hbm
    assert (hbm.capacity, hbm.stacks * hbm.channels) == (96 << 30, 48)
    assert (hbm.peak_gbs, hbm.clock_mhz) == (pytest.approx(2457.6), pytest.approx(800))
    path = tmp_path / "old.toml"
    tile = 'rows = 3\ncolumns = 5\nformats = ["int8"]\nlatency = 1\naccumulators = 8\n'
    path.write_text(f'[chip]\nname = "old"\ncompute_units = 2\nclock_mhz = 100\n[tile]\n{tile}')
    alone = load(path).hbm
    assert (alone.capacity, alone.peak_gbs) == (2 << 30, pytest.approx(51.2))
    assert alone.channel == ChannelConfig()
    slow = load(path, ["hbm.device=HBM2_2000", "hbm.height=12", "hbm.stacks=5", "hbm.channels=8"]).hbm
    assert (slow.capacity, slow.peak_gbs) == (5 * 24 << 30, pytest.approx(5 * 256.0))


def test_the_link_of_the_full_chip_carries_50_gbs_of_payload_a_port_whatever_its_lanes():
    chip = load("ppu810e")
    link = chip.link
    assert (link.ports, link.beat_bytes, link.beats, link.payload_bytes, link.payload_beats) == (7, 64, 4, 236, 4)
    assert link.clock_mhz == pytest.approx(875)
    assert link.raw_gbs == pytest.approx(56)
    assert link.payload_gbs == pytest.approx(51.6, abs=0.02)
    assert 2 * link.ports * link.payload_gbs >= 700
    binary = load("ppu810e", ["link.lanes=16", "link.lane_gbps=28", "link.lane_bits=32", "link.fec=false"]).link
    assert binary.payload_bytes == 240
    assert binary.payload_gbs == pytest.approx(52.5, abs=0.02)
    assert binary.payload_gbs / binary.raw_gbs >= 0.937
    assert binary.write_gbs(64) / binary.raw_gbs >= 0.8


def test_a_deskew_buffer_holds_twice_64_bits():
    with pytest.raises(ConfigError, match=r"link\.skew_words = 4 with link\.lane_bits = 16: .* give 8 or more"):
        load("tiny", ["link.skew_words=4"])
