"""Reaches into an elaborated design, so that a harness may speak of its inner signals.

This is the one place that knows how Amaranth keeps an elaborated design (`Fragment`); `tests/formal` fails loudly
should that change.
"""

from collections.abc import Callable

from amaranth import Module, Signal, Value
from amaranth.hdl import Elaboratable, Fragment
from amaranth.hdl._ast import SignalSet


class Probe:
    """A design, elaborated once. Put `fragment` among a harness's sub-modules.

    Parameters
    ----------
    design : Elaboratable
        The design under proof.

    Raises
    ------
    LookupError
        From every method, if there is no such part or signal.
    """

    def __init__(self, design: Elaboratable) -> None:
        self.fragment = Fragment.get(design, None)

    def part(self, path: str) -> Elaboratable:
        """The component at ``path``: names of sub-modules with dots between, such as ``array.band_0.row_1``."""
        return self._at(path).origins[0]

    def names(self, path: str) -> list[str]:
        """The names of the parts of the part at ``path``."""
        return [name for _, name, _ in self._at(path).subfragments if name]

    def signal(self, path: str, name: str) -> Signal:
        """The signal called ``name`` that the module at ``path`` (empty: the design itself) drives."""
        statements = [statement for domain in self._at(path).statements.values() for statement in domain]
        driven = SignalSet(signal for statement in statements for signal in statement._lhs_signals())
        found = [signal for signal in driven if signal.name == name]
        if len(found) != 1:
            raise LookupError(f"{path or 'the design'} drives {len(found)} signals called {name}")
        return found[0]

    def state(self, path: str, name: str) -> Value:
        """Whether the state machine of the module at ``path`` is in the state called ``name``."""
        register = self.signal(path, "fsm_state")
        for code in range(1 << len(register)):
            try:
                shown = register._decoder(code)
            except KeyError:
                break
            if shown.partition("/")[0] == name:
                return register == code
        raise LookupError(f"{path or 'the design'} has no state {name!r}")

    def replace(self, kind: type, make: Callable[[Elaboratable], Module]) -> int:
        """Put ``make(component)``, which must drive the component's outputs, in the place of every one of a kind.

        Returns how many there were.
        """
        return self._replace(self.fragment, kind, make)

    def _replace(self, fragment: Fragment, kind: type, make: Callable[[Elaboratable], Module]) -> int:
        count = 0
        for place, (part, name, source) in enumerate(fragment.subfragments):
            if part.origins and isinstance(part.origins[0], kind):
                instead = Fragment.get(make(part.origins[0]), None)
                instead.origins = part.origins
                fragment.subfragments[place] = (instead, name, source)
                count += 1
            else:
                count += self._replace(part, kind, make)
        return count

    def _at(self, path: str) -> Fragment:
        fragment = self.fragment
        for name in filter(None, path.split(".")):
            parts = {part_name: part for part, part_name, _ in fragment.subfragments}
            if name not in parts:
                raise LookupError(f"no part {name!r} of {path!r}: there are {', '.join(sorted(filter(None, parts)))}")
            fragment = parts[name]
        return fragment
