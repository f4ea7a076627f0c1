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
        From the first byte of a packet at one chip's port to its first byte behind the neighbour's.
    forward_ns : float
        Of the router of a chip on the way, beside the hops.
    tunnel_share : float
        Of the rate that is left to a detour.
    """

    count: int
    gbs: float
    hop_ns: float
    forward_ns: float
    endpoint: Endpoint
    tunnel_share: float


def link_of(chip: ChipConfig) -> LinkConfig:
    """The chip's link.

    Raises
    ------
    UserError
        If it has none.
    """
    if not chip.link.ports:
        raise UserError(f"{chip.name} has no link ports (link.ports = 0): give another --config, or --set link.ports=1")
    return chip.link


def port_clocks(link: LinkConfig, calibration: Calibration) -> float:
    """Link clocks of a port to a port, without the way between them and without waiting: stages and a flit."""
    clocks = calibration.port_clocks + link.beats
    clocks += calibration.fec_clocks if link.fec else 0
    return clocks + (calibration.crossing_clocks if link.recovered_clock else 0)


def reach(link: LinkConfig, calibration: Calibration) -> tuple[float, float]:
    """The longest way from SerDes to SerDes, in link clocks, over which a port sends without a pause; 0 if none is.

    A flit is known to have arrived after a round trip: its own way and a flit's, which an answer may have to wait for.
    So long ``window`` flits must last; where one channel alone sends, ``credits``, and two flits more, in which the
    buffer is read and the credit told.

    Returns
    -------
    (float, float)
        All channels together; one alone.
    """
    ways = [flits * link.beats / 2 - port_clocks(link, calibration) for flits in (link.window, link.credits - 2)]
    return max(0.0, ways[0]), max(0.0, min(ways))


def ports_of(chip: ChipConfig, calibration: Calibration) -> Ports:
    """The ports of a chip.

    Raises
    ------
    UserError
        If it has none.
    """
    link = link_of(chip)
    clock_ns = 1000 / link.clock_mhz
    clocks = port_clocks(link, calibration) + calibration.flit_wait * (link.beats - 1)
    routers = 2 * calibration.router_clocks
    read, write = calibration.memory_read_clocks, calibration.memory_write_clocks
    grant = clocks + routers + calibration.channel_ns / clock_ns + calibration.grant_clocks - read
    endpoint = Endpoint(
        start_ns=calibration.start_clocks * clock_ns,
        token_start_ns=calibration.token_start_clocks * clock_ns,
        step_ns=routers * clock_ns,
        add_ns=calibration.add_clocks * clock_ns,
        join_ns=calibration.join_clocks * clock_ns,
        store_ns=(calibration.store_clocks + write + read) * clock_ns,
        pass_ns=calibration.pass_clocks * clock_ns,
        token_ns=calibration.token_clocks * clock_ns,
        dispatch_ns=calibration.dispatch_clocks * clock_ns,
        grant_ns=max(0.0, grant) * clock_ns,
        flit_ns=(link.beats - 1) * clock_ns,
        packet_bytes=min(MOST_DATA_BYTES, int(calibration.packet_beats) * link.beat_bytes),
        header_bytes=HEADER_BYTES,
        lead_bytes=int(calibration.lead_beats * link.beat_bytes),
    )
    return Ports(
        count=link.ports,
        gbs=link.payload_gbs,
        hop_ns=clocks * clock_ns + calibration.channel_ns,
        forward_ns=calibration.router_clocks * clock_ns,
        endpoint=endpoint,
        tunnel_share=calibration.tunnel_share,
    )
