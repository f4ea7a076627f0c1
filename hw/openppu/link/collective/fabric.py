"""A chip's link with its collective engine: the engine's streams go through the router."""

from amaranth import Module
from amaranth.lib import wiring

from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.engine import CollectiveEngine
from openppu.link.fabric import Fabric

OF_FABRIC = ("collectives", "to_collectives")
OF_ENGINE = ("send", "receive", "chip")
"""Members of the two that are joined inside."""


class CollectiveFabric(wiring.Component):
    """`Fabric` and `CollectiveEngine`, joined. ``engines`` says where each of the engine's streams goes
    (`openppu.link.collective.wiring.Wiring.direct`).

    Parameters
    ----------
    config : CollectiveConfig
    **sizes
        As of `Fabric`.

    Members
    -------
    All of the fabric but for those that lead to the engine. All of the engine but for ``send``, ``receive`` and
    ``chip``, which is the fabric's; its ``status`` is called ``engine``.
    """

    def __init__(self, config: CollectiveConfig, **sizes: int):
        self.config = config
        self.fabric = Fabric(config.link, **sizes)
        self.collective_engine = CollectiveEngine(config)
        members = {name: member for name, member in self.fabric.signature.members.items() if name not in OF_FABRIC}
        for name, member in self.collective_engine.signature.members.items():
            if name not in OF_ENGINE:
                members["engine" if name == "status" else name] = member
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        m.submodules.fabric = fabric = self.fabric
        m.submodules.engine = engine = self.collective_engine
        for number in range(self.config.ports):
            wiring.connect(m, engine.send[number], fabric.collectives[number])
            wiring.connect(m, fabric.to_collectives[number], engine.receive[number])
        m.d.comb += engine.chip.eq(self.chip)
        for part, joined in ((fabric, OF_FABRIC), (engine, OF_ENGINE)):
            for path, member, theirs in part.signature.flatten(part):
                if path[0] in joined:
                    continue
                mine = self
                for step in ("engine", *path[1:]) if part is engine and path[0] == "status" else path:
                    mine = mine[step] if isinstance(step, int) else getattr(mine, step)
                m.d.comb += theirs.eq(mine) if member.flow is wiring.In else mine.eq(theirs)
        return m
