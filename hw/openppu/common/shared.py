"""Sub-modules that are emitted once, however often they are used."""

from collections.abc import Iterator, Mapping

from amaranth import (
    ClockSignal,
    Const,
    DomainRenamer,
    Elaboratable,
    Instance,
    ResetInserter,
    ResetSignal,
    Value,
    ValueLike,
)
from amaranth.lib import wiring


def shared(
    component: wiring.Component, platform, *, reset: Value | None = None, domains: Mapping[str, str] = {}
) -> Elaboratable:
    """What to put into ``m.submodules`` for ``component``: itself, or one more use of its module.

    Amaranth emits a module for every component object. When the design is elaborated for emission
    (`openppu.verilog.Emission` is the platform) this returns an Instance, and the platform emits the module itself
    once for all components of the same kind and parameters. In Amaranth's own simulator, which takes an Instance for
    zeros, the component is used as it is; so is, everywhere, one with more ports than a module may have (`is_wide`).
    While ``reset`` is high, it is held in reset, too. ``domains`` names, for each clock domain that the component has,
    the one here; ``sync`` is ``sync`` if it is not named.
    """
    if not hasattr(platform, "module_name") or is_wide(component):
        used = component if reset is None else ResetInserter(reset)(component)
        return DomainRenamer(dict(domains))(used) if domains else used
    # It is used, by its ports; Amaranth only sees components that are elaborated, and would warn.
    component._MustUse__used = True
    here = dict(domains)
    own = here.pop("sync", "sync")
    resets = ResetSignal(own) if reset is None else ResetSignal(own) | reset
    ports = {}
    for name, member, value in ports_of(component):
        ports[f"{'i' if member.flow is wiring.In else 'o'}_{name}"] = value
    for name, outside in here.items():
        ports |= {f"i_{name}_clk": ClockSignal(outside), f"i_{name}_rst": ResetSignal(outside)}
    return Instance(platform.module_name(component), i_clk=ClockSignal(own), i_rst=resets, **ports)


MOST_BITS = (1 << 16) - 64
"""Of all inputs of a module, and of all its outputs: Amaranth tells 65,536 apart, with constants and clocks."""


def is_wide(component: wiring.Component) -> bool:
    """Whether a component has more bits of ports than Amaranth allows a module of its own."""
    sums = {wiring.In: 0, wiring.Out: 0}
    for _, member, value in ports_of(component):
        sums[member.flow] += len(Value.cast(value))
    return max(sums.values()) > MOST_BITS


def ports_of(component: wiring.Component) -> Iterator[tuple[str, wiring.Member, ValueLike]]:
    """Each port of a component's module but ``clk`` and ``rst``: name, member, value.

    The ``ready`` of a stream that is always ready, and the ``valid`` of one that is always valid, are no ports.
    """
    for path, member, value in component.signature.flatten(component):
        if not isinstance(Value.cast(value), Const):
            yield "__".join(map(str, path)), member, value
