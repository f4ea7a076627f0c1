"""Chooses the name under which each wire, memory and instance appears."""

import re
from collections.abc import Container, Iterator

from openppu.emission.expression import leaves
from openppu.emission.netlist import Netlist, action_leaves, updated
from openppu.emission.rtlil import Bits, Slice, width_of

KEYWORDS = frozenset(
    """
    accept_on alias always always_comb always_ff always_latch and assert assign assume automatic before begin
    bind bins binsof bit break buf bufif0 bufif1 byte case casex casez cell chandle checker class clocking
    cmos config const constraint context continue cover covergroup coverpoint cross deassign default defparam
    design disable dist do edge else end endcase endchecker endclass endclocking endconfig endfunction
    endgenerate endgroup endinterface endmodule endpackage endprimitive endprogram endproperty endsequence
    endspecify endtable endtask enum event eventually expect export extends extern final first_match for force
    foreach forever fork forkjoin function generate genvar global highz0 highz1 if iff ifnone ignore_bins
    illegal_bins implements implies import incdir include initial inout input inside instance int integer
    interconnect interface intersect join join_any join_none large let liblist library local localparam logic
    longint macromodule matches medium modport module nand negedge nettype new nexttime nmos nor
    noshowcancelled not notif0 notif1 null or output package packed parameter pmos posedge primitive priority
    program property protected pull0 pull1 pulldown pullup pulsestyle_ondetect pulsestyle_onevent pure rand
    randc randcase randsequence rcmos real realtime ref reg reject_on release repeat restrict return rnmos
    rpmos rtran rtranif0 rtranif1 s_always s_eventually s_nexttime s_until s_until_with scalared sequence
    shortint shortreal showcancelled signed small soft solve specify specparam static string strong strong0
    strong1 struct super supply0 supply1 sync_accept_on sync_reject_on table tagged task this throughout time
    timeprecision timeunit tran tranif0 tranif1 tri tri0 tri1 triand trior trireg type typedef union unique
    unique0 unsigned until until_with untyped use uwire var vectored virtual void wait wait_order wand weak
    weak0 weak1 while wildcard wire with within wor xnor xor
    """.split()  # noqa: SIM905
)
"""Words of IEEE 1364-2005 and of IEEE 1800-2017."""


def choose(netlist: Netlist, without: Container[str]) -> dict[str, str]:
    """A readable name for everything that is declared in a module.

    A wire that Amaranth knows under several names keeps the best: a port's; one that only the hardware's author
    gave; instance and port for what connects to an instance's port of that name; last the field of a struct, or the
    name of what looks at it.

    Parameters
    ----------
    netlist : Netlist
        The module.
    without : container of str
        Wires that are not declared.

    Raises
    ------
    ValueError
        If a port's name is a word of Verilog.
    """
    candidates = _candidates(netlist, without)
    names = {name: name.lstrip("\\") for name, wire in netlist.wires.items() if wire.port}
    for port in names.values():
        if port in KEYWORDS:
            raise ValueError(f"port {port} of {netlist.name}: a word of Verilog; rename it in the component")
    taken = {*KEYWORDS, netlist.name.lstrip("\\"), *names.values()}
    names["$loop"] = _free("word", taken)
    names |= {wire: names[port] for port, wire in netlist.carriers().items()}
    for instance in netlist.instances:
        names[instance.name] = _free(instance.name.lstrip("\\"), taken)
    for name in sorted(candidates, key=lambda name: min(candidates[name])[0]):
        if name not in names:
            names[name] = _free(min(candidates[name])[1], taken)
    return names


def _candidates(netlist: Netlist, without: Container[str]) -> dict[str, list[tuple[int, str]]]:
    """The names that each wire or memory might have, each with its rank."""
    declared = [name for name in [*netlist.wires, *netlist.memories] if name not in netlist.aliases]
    candidates = {name: [_ranked(name)] for name in declared if name not in without}
    for name, bits in netlist.aliases.items():
        low = 0
        for chunk in bits:
            if netlist.whole((chunk,)) in candidates:
                candidates[netlist.whole((chunk,))].append(_name_of_part(name, low, chunk.width, width_of(bits)))
            low += chunk.width

    users = _users(netlist)
    for wire in users.keys() & candidates.keys():
        user = users[wire]
        seen = {wire}
        while user[0] == "$" and user in users and user not in seen:
            seen.add(user)
            user = users[user]
        candidates[wire].append((9, f"{_ranked(user)[1]}_term"))

    used = {chunk.wire for bits in netlist.uses() for chunk in bits if isinstance(chunk, Slice)}
    for instance in netlist.instances:
        for port, bits in instance.ports().items():
            wire = netlist.whole(bits)
            if wire not in candidates:
                continue
            # One of the wire's names is that of the port's own signal, which says less than the instance's name does.
            own = max((c for c in candidates[wire] if c[1] == port), default=None)
            if own:
                candidates[wire].remove(own)
            name = f"{instance.name[1:]}_{port}"
            if port in instance.outputs:
                candidates[wire].append((2, name) if wire in used else (0, f"unused_{name}"))
            else:
                candidates[wire].append((3 if own else 7, name))
    return candidates


def _users(netlist: Netlist) -> dict[str, str]:
    """For each wire without a name, one wire or register that looks at it."""
    users: dict[str, str] = {}
    for user, parts in netlist.drivers.items():
        for _, expression in parts:
            users |= dict.fromkeys(_unnamed(leaves(expression)), user)
    for port, bits in netlist.outputs.items():
        users |= dict.fromkeys(_unnamed(iter([bits])), port)
    for _, body in netlist.registers:
        users |= dict.fromkeys(_unnamed(action_leaves(body)), next(updated(body)))
    return users


def _unnamed(values: Iterator[Bits]) -> Iterator[str]:
    return (chunk.wire for bits in values for chunk in bits if isinstance(chunk, Slice) and chunk.wire[0] == "$")


def _name_of_part(name: str, low: int, width: int, whole: int) -> tuple[int, str]:
    """A name for a part of a value that has a name."""
    rank, plain = _ranked(name)
    if width == whole or name[0] == "$":
        return rank, plain
    return 8, f"{plain}_{low}" if width == 1 else f"{plain}_{low + width - 1}_{low}"


def _ranked(name: str) -> tuple[int, str]:
    """How good a name is (0 is best), and the name as Verilog allows it."""
    if name[0] == "$":
        return 10, "term"
    rank = 5 if "$" in name else 6 if "." in name or "[" in name else 1
    plain = re.sub(r"\$(\d+|signature__)", "", name[1:])  # Amaranth's numbers, and its name for what has none
    return rank, re.sub(r"\W+", "_", plain).strip("_") or "signal"


def _free(name: str, taken: set[str]) -> str:
    """The name, with a number if it is taken."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    taken.add(free)
    return free
