"""The chip's link ports, as built, and the rates that follow."""

from dataclasses import dataclass

from openppu.section import ConfigError, Section, option

FLIT_BYTES = 256
TRAILER_BYTES = 6
CRC_FIELD_BYTES = 8
"""Of every flit; a shorter CRC leaves the upper ones zero."""

SPARE_BYTES = 2
"""Zeros before the CRC, where there is no FEC."""

FEC_BYTES = 6

GRAIN = 2
"""Bytes: a packet begins and ends on a multiple of it within a channel's bytes."""

HEADER_BYTES = 10
"""Of a transaction."""

MOST_DATA_BYTES = 4096
"""Of a transaction."""

CHANNELS = 6
"""Virtual channels: three roles (`openppu.link.layouts.Role`), each in two classes."""

SEQUENCE_BITS = 8
"""Of a flit's number as it is sent; the rest of it is in the CRC."""

MOST_MHZ = 2000
"""Of a link clock: no logic is that fast."""

SKIP_INTERVAL = 4096
"""Words of a lane from one skip word to the next: 244 ppm of the clock."""


@dataclass(frozen=True, kw_only=True)
class LinkConfig(Section):
    """The chip's link: ``ports`` alike, each of ``lanes`` a direction.

    Raises
    ------
    ConfigError
        If a value is outside its range, or does not go with another.
    """

    SECTION = "link"

    ports: int = option("ports; 0: no link", choices=tuple(range(8)), default=0)
    lanes: int = option("lanes of a port, each way", choices=(1, 2, 4, 8, 16), default=2)
    lane_bits: int = option(
        "bits that a SerDes takes and gives a lane in each link clock", choices=(16, 32, 64), default=16, unit="bits"
    )
    lane_gbps: float = option("line rate of a lane", above=0.0001, most=128, unit="Gb/s", default=8.0)
    fec: bool = option("forward error correction in each flit, for PAM4", choices=(False, True), default=False)
    crc_bits: int = option("of each flit's CRC", choices=(16, 32, 64), default=32, unit="bits")
    retry: str = option(
        "what is sent again after a wrong flit: it alone, or all from it on",
        choices=("selective", "go_back_n"),
        default="selective",
    )
    window: int = option(
        "flits that are on their way or not acknowledged yet", least=8, most=128, power_of_two=True, default=64
    )
    credits: int = option(
        "flits of a virtual channel that the receiver has room for", least=2, most=64, power_of_two=True, default=32
    )
    skew_words: int = option(
        "words of a lane that the deskew buffer holds", choices=(4, 8, 16, 32), default=16, unit="words"
    )
    serdes_bits: int = option(
        "bits of a lane in a word of the SerDes, behind a gearbox; 0: lane_bits, without one",
        choices=(0, 16, 20, 32, 40, 64, 80),
        default=0,
        unit="bits",
    )
    recovered_clock: bool = option(
        "what is received comes in a clock of its own, recovered from the lanes", choices=(False, True), default=False
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.skew_words * self.lane_bits < 128:
            raise ConfigError(
                f"link.skew_words = {self.skew_words} with link.lane_bits = {self.lane_bits}: holds less than twice 64 "
                f"bits; give {128 // self.lane_bits} or more"
            )
        if self.clock_mhz > MOST_MHZ:
            raise ConfigError(
                f"link.lane_gbps = {self.lane_gbps:g} with link.lane_bits = {self.lane_bits}: a link clock of "
                f"{self.clock_mhz:g} MHz; give at most {MOST_MHZ * self.lane_bits / 1000:g} Gb/s, or more bits"
            )

    @property
    def beat_bytes(self) -> int:
        """Bytes that a port sends in a link clock, with all its lanes."""
        return self.lanes * self.lane_bits // 8

    @property
    def beats(self) -> int:
        """Link clocks of a flit, with all lanes."""
        return FLIT_BYTES // self.beat_bytes

    @property
    def payload_bytes(self) -> int:
        """Of a flit: 240, or 236 with FEC. They come first in it; the trailer follows, then spare bytes, CRC, FEC."""
        return FLIT_BYTES - TRAILER_BYTES - CRC_FIELD_BYTES - (FEC_BYTES if self.fec else SPARE_BYTES)

    @property
    def payload_beats(self) -> int:
        """The beats of a flit that hold payload."""
        return -(-self.payload_bytes // self.beat_bytes)

    @property
    def crc_place(self) -> int:
        """Where the CRC begins, in bytes: it covers all before it."""
        return FLIT_BYTES - CRC_FIELD_BYTES - (FEC_BYTES if self.fec else 0)

    @property
    def clock_mhz(self) -> float:
        """The link clock."""
        return self.lane_gbps * 1000 / self.lane_bits

    @property
    def raw_gbs(self) -> float:
        """GB/s (10**9 bytes) of a port's lanes, one way: every bit on the wire."""
        return self.lanes * self.lane_gbps / 8

    @property
    def coded_gbs(self) -> float:
        """GB/s of a port's flits, one way: what is left beside the skip words."""
        return self.raw_gbs * (SKIP_INTERVAL - 1) / SKIP_INTERVAL

    @property
    def payload_gbs(self) -> float:
        """GB/s of a port's flit payload, one way: what is left beside trailers, CRC and FEC."""
        return self.coded_gbs * self.payload_bytes / FLIT_BYTES

    def write_gbs(self, size: int) -> float:
        """GB/s of a port's data, one way, when all of it are writes of ``size`` bytes."""
        on_the_wire = HEADER_BYTES + size + size % GRAIN
        return self.payload_gbs * size / on_the_wire
