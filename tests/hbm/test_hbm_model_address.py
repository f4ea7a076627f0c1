"""Where the model puts addresses: in a channel as the hardware does, over the channels evenly."""

import numpy as np
import pytest
from openppu.hbm.config import ChannelConfig
from openppu.hbm.settings import Mapping, Settings
from openppu_sim.cycles.hbm.address import UNIT, Interleave, split
from openppu_sim.errors import UserError
from places import split as place_of


@pytest.mark.parametrize("height", [4, 8, 12])
@pytest.mark.parametrize("mapping", list(Mapping))
@pytest.mark.parametrize("hash_banks", [False, True])
def test_places_are_as_the_page_defines_them(height: int, mapping: Mapping, hash_banks: bool) -> None:
    config = ChannelConfig(height=height)
    of = config.organisation
    accesses = of.pseudo_channels * of.banks * of.rows * of.columns
    address = np.concatenate(
        [np.arange(600), accesses - 1 - np.arange(40), np.random.default_rng(1).integers(0, accesses, 900)]
    )
    places = split(address, config, Settings(mapping=mapping, hash_banks=hash_banks))
    for index, one in enumerate(address.tolist()):
        pc, place = place_of(one, height, mapping, hash_banks)
        got = {"row": places.row[index], "bank": places.bank[index], "column": places.column[index]}
        assert (places.pc[index], got) == (pc, place), f"access {one:#x}"


@pytest.mark.parametrize("channels", [1, 2, 3, 5, 8, 14, 16, 24, 40, 48, 56, 96])
def test_channels_have_every_address_once_and_a_run_visits_each(channels: int) -> None:
    units = channels * 96
    channel, local = Interleave(channels).locate(np.arange(units) * UNIT + 7)
    assert len(set(zip(channel.tolist(), local.tolist(), strict=True))) == units
    assert local.max() <= -(-units // channels // 32) * 32 * UNIT
    assert (np.sort(channel.reshape(-1, channels)) == np.arange(channels)).all()


@pytest.mark.parametrize("channels", [8, 48])
def test_strides_use_all_pseudo_channels(channels: int) -> None:
    for bits in range(9, 24):
        for odd in (1, 3):
            channel, local = Interleave(channels).locate(np.arange(4096, dtype=np.int64) * odd << bits)
            counts = np.bincount(2 * channel + local // UNIT % 2, minlength=2 * channels)
            assert counts.max() < 2 * 4096 / (2 * channels), f"stride {odd} * 2**{bits}: {counts}"


@pytest.mark.parametrize("channels", [0, 9, 11, 36, 128])
def test_other_numbers_of_channels_are_refused(channels: int) -> None:
    with pytest.raises(UserError, match=f"^{channels} channels: give a power of two, or 3, 5 or 7 times one"):
        Interleave(channels)
