"""What software sets for a port that may lose its lanes: where its flits go then, and when."""

from dataclasses import dataclass, field
from typing import Any, Self

from openppu.link.settings import TrainingSettings
from openppu.link.topology import Topology
from openppu.link.tunnel import PATIENCE_BITS, Tunnel, way_of
from openppu.section import ConfigError


@dataclass(frozen=True, kw_only=True)
class Failover:
    """Of one port: through other ports, if there is a way, or given up.

    Parameters
    ----------
    hops : tuple of int, optional
        The ports that its flits leave by, chip after chip; None: there is no other way, and the port gives up.
    far_chip, far_port : int
        At the other end of the port.
    patience : int
        Link clocks without lanes until then, more than a training takes; 0: wait for ever.
    settings : TrainingSettings
        Of the port's training, which must be able to end within ``patience``.

    Raises
    ------
    ConfigError
        If ``patience`` is too short or does not fit.
    ValueError
        If there are too many hops.
    """

    hops: tuple[int, ...] | None
    far_chip: int
    far_port: int
    patience: int
    settings: TrainingSettings = field(default_factory=TrainingSettings)

    def __post_init__(self) -> None:
        most = (1 << PATIENCE_BITS) - 1
        least = max(Tunnel.LEAST_PATIENCE, self.settings.settle_most + self.settings.patience)
        if self.patience and not least <= self.patience <= most:
            raise ConfigError(
                f"failover.patience = {self.patience}: give {least} to {most}, for a training takes long, or 0"
            )
        self.values()

    @classmethod
    def around(
        cls,
        topology: Topology,
        chip: int,
        port: int,
        *,
        patience: int,
        settings: TrainingSettings | None = None,
    ) -> Self:
        """The shortest way around a link, if there is one.

        Raises
        ------
        ConfigError
            If the port leads nowhere, or as above.
        """
        end = topology.peers[chip][port]
        if end is None:
            raise ConfigError(f"topology {topology.name}: port {port} of chip {chip} leads nowhere")
        return cls(
            hops=topology.tunnel(chip, port),
            far_chip=end[0],
            far_port=end[1],
            patience=patience,
            settings=settings or TrainingSettings(),
        )

    def values(self) -> dict[str, Any]:
        """For a member of `openppu.link.tunnel.tunnel_control_layout`, but for this chip's number."""
        has_way = self.hops is not None
        way = way_of(self.hops, self.far_port) if self.hops is not None else 0
        return {"enable": has_way, "way": way, "far_chip": self.far_chip, "patience": self.patience}
