"""The model beside the engines in RTL: which of its algorithms they do."""

import pytest
from openppu_sim.cycles.link.rtl import runs_on_engine
from openppu_sim.cycles.link.topologies import topology


@pytest.mark.parametrize(
    ("name", "chips", "ports", "operation", "algorithm", "able"),
    [
        ("mesh", 7, 6, "allreduce", "halving-doubling", False),
        ("mesh", 8, 7, "allreduce", "halving-doubling", True),
        ("mesh", 8, 7, "allreduce", "double-tree", False),
        ("mesh", 8, 7, "allreduce", "ring", False),  # six rings; an engine goes round one
        ("mesh", 2, 1, "allreduce", "direct", True),
        ("pair", 2, 7, "allreduce", "direct", False),  # seven links between two chips; it uses one
        ("pair", 2, 1, "allreduce", "one-shot", True),
        ("ring", 16, 2, "allreduce", "ring", True),
        ("ring", 17, 2, "allreduce", "ring", False),
        ("groups", 8, 7, "broadcast", "tree", True),
        ("groups", 16, 7, "allreduce", "two-level", True),
        ("groups", 16, 7, "alltoall", "direct", False),
        ("groups", 16, 7, "alltoall", "routed", True),
    ],
)
def test_what_engines_do(name: str, chips: int, ports: int, operation: str, algorithm: str, able: bool) -> None:
    assert runs_on_engine(operation, algorithm, topology(name, chips, ports)) is able
