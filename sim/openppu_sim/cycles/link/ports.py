"""What a chip's configuration and the calibration say of one hop over its ports."""

from dataclasses import dataclass

from openppu.config import ChipConfig
from openppu.link.config import HEADER_BYTES, MOST_DATA_BYTES, LinkConfig

from openppu_sim.cycles.link.calibration import Calibration
from openppu_sim.cycles.link.network import Endpoint
from openppu_sim.errors import UserError


@dataclass(frozen=True)
class Ports:
    """A chip's ports: latency and rate of a hop, and what a chip adds.

    Attributes
    ----------
    count : int
        Ports of a chip.
    gbs : float
        Flit payload of a port, one way, in GB/s.
    hop_ns : float
        From the first byte of a packet at one chip to its first byte at the neighbour.
    forward_ns : float
        Of a chip on the way, beside the hops.
    tunnel_share : float
        Of the rate that is left to a detour.
    """

    count: int
    gbs: float
    hop_ns: float
    forward_ns: float
    endpoint: Endpoint
    tunnel_share: float


def ports_of(chip: ChipConfig, calibration: Calibration) -> Ports:
    """The ports of a chip.

    Raises
    ------
    UserError
        If it has none.
    """
    link: LinkConfig = chip.link
    if not link.ports:
        raise UserError(f"{chip.name} has no link ports (link.ports = 0): use --config ppu810e")
    clock_ns = 1000 / link.clock_mhz
    clocks = calibration.port_clocks
    clocks += calibration.fec_clocks if link.fec else 0
    clocks += calibration.crossing_clocks if link.recovered_clock else 0
    clocks += calibration.flit_wait * link.beats
    endpoint = Endpoint(
        start_ns=calibration.start_clocks * clock_ns,
        step_ns=calibration.step_clocks * clock_ns,
        packet_bytes=min(MOST_DATA_BYTES, int(calibration.packet_beats) * link.beat_bytes),
        header_bytes=HEADER_BYTES,
        flit_bytes=link.payload_bytes,
        lead_bytes=int(calibration.lead_bytes),
    )
    return Ports(
        count=link.ports,
        gbs=link.payload_gbs,
        hop_ns=clocks * clock_ns + calibration.channel_ns,
        forward_ns=calibration.forward_clocks * clock_ns,
        endpoint=endpoint,
        tunnel_share=calibration.tunnel_share,
    )
