"""Every bad description is refused in one line that names file, key, value and what is allowed."""

import pytest
from openppu.config import ConfigError, load

BAD_OVERRIDES = {
    "tile.rows=0": "tile.rows = 0: give an integer from 1 to 256",
    "tile.rows=257": "tile.rows = 257: give an integer from 1 to 256",
    "tile.rows=-4": "tile.rows = -4: give an integer",
    "tile.rows=true": "tile.rows = true: give an integer",
    "tile.rows=4.0": "tile.rows = 4.0: give an integer",
    'tile.rows="4"': 'tile.rows = "4": give an integer',
    "tile.rows=four": 'tile.rows = "four": give an integer',
    "tile.rows=": 'tile.rows = "": give an integer',
    "tile.rows=2026-01-01": 'tile.rows = "2026-01-01": give an integer',
    "tile.rows=1\nx = 2": "give an integer from 1 to 256",
    "tile.accumulators=96": "tile.accumulators = 96: give a power of two from 8 to 16384",
    "tile.accumulators=4": "tile.accumulators = 4: give a power of two from 8 to 16384",
    "tile.address_bits=33": "tile.address_bits = 33: give an integer from 4 to 32",
    "tile.count_bits=3": "tile.count_bits = 3: give an integer from 4 to 24",
    "tile.outstanding=1": "tile.outstanding = 1: give an integer from 2 to 64",
    "tile.formats=int9": 'tile.formats = ["int9"]: give a list of one or more of int8, fp8_e4m3, fp8_e5m2, fp16, bf16',
    "tile.formats=[]": "tile.formats = []: give a list of one or more",
    "tile.formats=bf16,bf16": "none twice",
    "tile.formats=[1, [2]]": "tile.formats = [1, [2]]: give a list",
    "tile.formats=3": "tile.formats = 3: give a list",
    "tile.formats=int8": "tile.latency = 3: impossible with these formats; give 1 with formats int8 alone",
    "tile.latency=1": "tile.latency = 1: impossible with these formats; give 2, 3, 4 or 5 with formats int8, bf16",
    "tile.latency=6": "tile.latency = 6: give an integer from 1 to 5",
    "tile.row=4": "tile.row = 4: unknown key, did you mean rows?; allowed in [tile]: rows, columns,",
    "tiles.rows=4": "[tiles]: unknown section, did you mean tile?; allowed: chip, tile, hbm, link",
    "dram.width=4": "[dram]: unknown section; allowed: chip, tile, hbm, link",
    "hbm.stacks=0": "hbm.stacks = 0: give one of 1, 2, 3, 4, 5, 6, 7, 8",
    "hbm.stacks=true": "hbm.stacks = true: give one of 1, 2",
    "hbm.channels=3": "hbm.channels = 3: give one of 1, 2, 4, 8",
    "hbm.device=HBM3": 'hbm.device = "HBM3": give one of HBM2E_3200, HBM2E_3600, HBM2_2000, HBM2_2400',
    "hbm.device=[1]": "hbm.device = [1]: give one of HBM2E_3200",
    "hbm.height=6": "hbm.height = 6: give one of 4, 8, 12",
    "hbm.ports=8": "hbm.ports = 8: give one of 1, 2, 3, 4, 5, 6, 7",
    "hbm.tags=3": "hbm.tags = 3: give one of 1, 2, 4, 8, 16",
    "hbm.reads=128": "hbm.reads = 128: give one of 8, 16, 32, 64",
    "hbm.writes=0": "hbm.writes = 0: give one of 8, 16, 32, 64",
    "hbm.slots=64.0": "hbm.slots = 64.0: give one of 8, 16, 32, 64",
    "hbm.ecc=parity": 'hbm.ecc = "parity": give one of none, secded, symbol',
    "hbm.stack=4": "hbm.stack = 4: unknown key, did you mean stacks?; allowed in [hbm]: stacks, channels,",
    "link.ports=8": "link.ports = 8: give one of 0, 1, 2, 3, 4, 5, 6, 7",
    "link.lanes=3": "link.lanes = 3: give one of 1, 2, 4, 8, 16",
    "link.lane_gbps=128": "link.lane_gbps = 128 with link.lane_bits = 32: a link clock of 4000 MHz; give at most",
    "link.lane_gbps=0": "link.lane_gbps = 0: give a number above 0.0001, at most 128",
    "link.crc_bits=12": "link.crc_bits = 12: give one of 16, 32, 64",
    "link.retry=none": 'link.retry = "none": give one of selective, go_back_n',
    "link.window=24": "link.window = 24: give a power of two from 8 to 128",
    "link.credits=1": "link.credits = 1: give a power of two from 2 to 64",
    "link.skew_words=64": "link.skew_words = 64: give one of 4, 8, 16, 32",
    "link.lane=4": "link.lane = 4: unknown key, did you mean lanes?; allowed in [link]: ports, lanes,",
    f"tile.rows={'9' * 5000}": 'tile.rows = "99999',
    f"tile.rows=0x{'f' * 5000}": 'tile.rows = "0xfffff',
    f"tile.rows={'[' * 3000}": 'tile.rows = "[[[[[',
    f"chip.clock_mhz=1{'0' * 400}": 'chip.clock_mhz = "0x1b4ec7f',
    "chip.clock_mhz=0": "chip.clock_mhz = 0: give a number above 0",
    "chip.clock_mhz=nan": "chip.clock_mhz = NaN: give a number above 0",
    "chip.clock_mhz=inf": "chip.clock_mhz = Infinity: give a number above 0",
    "chip.clock_mhz=fast": 'chip.clock_mhz = "fast": give a number above 0',
    "chip.compute_units=256": "chip.compute_units = 256: give an integer from 1 to 255",
    "chip.name=My chip": 'chip.name = "My chip": give a text that matches',
    "chip.name=3": "chip.name = 3: give a text",
    "tile.rows": "not of the form section.key=value, such as tile.rows=128",
    "rows=4": "not of the form section.key=value",
    "=4": "not of the form section.key=value",
    "": "not of the form section.key=value",
}


@pytest.mark.parametrize(("override", "told"), BAD_OVERRIDES.items(), ids=[key[:30] for key in BAD_OVERRIDES])
def test_a_bad_override_is_refused(override, told):
    with pytest.raises(ConfigError) as error:
        load("demo", [override])
    assert told in str(error.value)
    assert "demo.toml --set " in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


def test_a_preset_is_named_without_its_folder_wherever_one_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"^demo\.toml --set tile\.rows=0: tile\.rows = 0: give"):
        load("demo", ["tile.rows=0"])


BAD_FILES = {
    "rows = ": "not valid TOML: Invalid value",
    "[tile\n": "not valid TOML",
    "a = " + "[" * 5000: "not valid TOML",
    f"[tile]\nrows = {'9' * 5000}\n": "not valid TOML: a number is too long",
    "tile = 3\n": "tile = 3: write a section [tile], not a value",
    "[[tile]]\n": "tile = [{}]: write a section [tile]",
    "rows = 3\n": "[rows]: unknown section",
    '"a\\nb" = 3\n': "unknown section",
    "": "tile.rows: missing; give an integer from 1 to 256",
    "[tile]\nrows = 4\ncolumns = 4\n": "tile.formats: missing; give a list of one or more of int8",
    "[tile]\nrows = 4\nrows = 5\n": "not valid TOML: Cannot overwrite a value",
}


@pytest.mark.parametrize(("text", "told"), BAD_FILES.items(), ids=[key[:30] for key in BAD_FILES])
def test_a_bad_file_is_refused(tmp_path, text, told):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        load(path)
    assert str(error.value).startswith(f"{path}: ")
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not valid TOML: 'utf-8' codec"):
        load(path)


@pytest.mark.parametrize("name", ["nope", "nope.toml", "", "x" * 5000, "a\0b", "a\nb"])
def test_a_missing_file_lists_the_presets(name):
    with pytest.raises(ConfigError, match="demo, ecp5, ppu810e, tiny") as error:
        load(name)
    assert "\n" not in str(error.value)


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="a folder; give a TOML file or a preset"):
        load(tmp_path)
