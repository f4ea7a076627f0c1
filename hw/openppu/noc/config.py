"""What a chip's network is built for."""

from dataclasses import dataclass

from openppu.section import Section, option


@dataclass(frozen=True, kw_only=True)
class NocConfig(Section):
    """Meshes of ``columns`` x ``rows`` routers, over which initiators and targets are spread evenly.

    Raises
    ------
    ConfigError
        If a value is outside its range.
    """

    SECTION = "noc"

    columns: int = option(
        "routers of a row of the mesh; 1 x 1 is a crossbar without queues", least=1, most=16, default=1
    )
    rows: int = option("rows of the mesh", least=1, most=16, default=1)
    planes: int = option(
        "meshes side by side, each for a part of the targets: so many times the bandwidth between routers",
        least=1,
        most=8,
        default=1,
    )
    queue: int = option("flits of 32 bytes that an input of a router holds", least=3, most=32, default=4)
    slots: int = option(
        "granules of 256 bytes that an initiator can have on their way to it",
        least=2,
        most=64,
        power_of_two=True,
        default=16,
    )
    writes: int = option(
        "writes that an initiator can have unacknowledged", least=2, most=32, power_of_two=True, default=8
    )

    @property
    def nodes(self) -> int:
        """Routers."""
        return self.columns * self.rows

    @property
    def is_mesh(self) -> bool:
        """Whether there are routers to go through."""
        return self.nodes > 1
