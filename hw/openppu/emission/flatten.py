"""Puts sub-modules that are not shared into the modules that use them."""

from collections.abc import Callable, Mapping

from openppu.emission.rtlil import Assign, Bits, Cell, Constant, Module, Slice, Statement, Switch, Wire


def flatten(module: Module, others: Mapping[str, Module]) -> Module:
    """The module with every cell of ``others`` replaced by what is in it, its names after the cell's name.

    Amaranth's own components (queues, memories) have no signature that would give their modules readable ports.
    """
    cells, module.cells = module.cells, []
    for cell in cells:
        if cell.kind in others:
            _put(module, cell, flatten(others[cell.kind], others))
        else:
            module.cells.append(cell)
    return module


def _put(outer: Module, cell: Cell, inner: Module) -> None:
    def renamed(name: str) -> str:
        return f"{name[0]}{cell.name[1:]}_{name[1:]}"

    def moved(bits: Bits) -> Bits:
        return tuple(c if isinstance(c, Constant) else Slice(renamed(c.wire), c.low, c.width) for c in bits)

    for name, wire in inner.wires.items():
        outer.wires[renamed(name)] = Wire(wire.width, init=wire.init)
        if wire.port:
            inside: Bits = (Slice(renamed(name), 0, wire.width),)
            outside = cell.ports[name.lstrip("\\")]
            outer.connects.append((inside, outside) if wire.port == "input" else (outside, inside))
    outer.memories |= {renamed(name): size for name, size in inner.memories.items()}
    outer.connects += [(moved(target), moved(value)) for target, value in inner.connects]
    outer.processes += [_moved_body(body, moved) for body in inner.processes]
    for part in inner.cells:
        parameters = dict(part.parameters)
        if "MEMID" in parameters:
            parameters["MEMID"] = renamed(parameters["MEMID"].strip('"').replace("\\\\", "\\"))
        ports = {port: moved(bits) for port, bits in part.ports.items()}
        outer.cells.append(Cell(part.kind, renamed(part.name), parameters, ports))


def _moved_body(body: list[Statement], moved: Callable[[Bits], Bits]) -> list[Statement]:
    result: list[Statement] = []
    for statement in body:
        if isinstance(statement, Assign):
            result.append(Assign(moved(statement.target), moved(statement.value)))
        else:
            cases = [(patterns, _moved_body(inner, moved)) for patterns, inner in statement.cases]
            result.append(Switch(moved(statement.value), cases))
    return result
