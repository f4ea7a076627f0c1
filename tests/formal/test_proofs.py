"""The tile's control is proved, and each proof notices defects."""

from pathlib import Path

import pytest
from openppu_verif.formal.proof import Proof, Verdict, prove
from openppu_verif.formal.proofs import PROOFS


def _marked(proof: Proof, *others: str) -> object:
    marks = [pytest.mark.slow] if proof.slow else []
    return pytest.param(proof, *others, id="-".join((proof.name, *others)).replace(" ", "_"), marks=marks)


@pytest.mark.parametrize("proof", [_marked(proof) for proof in PROOFS])
def test_property_holds(proof: Proof, tmp_path: Path) -> None:
    outcome = prove(proof, tmp_path)
    assert outcome.verdict is Verdict.HOLDS, f"{proof.claim}\n{outcome.trace}\nfiles in {tmp_path}"


@pytest.mark.parametrize(("proof", "fault"), [_marked(proof, fault) for proof in PROOFS for fault in proof.faults])
def test_proof_notices_a_defect(proof: Proof, fault: str, tmp_path: Path) -> None:
    outcome = prove(proof, tmp_path, fault=fault)
    assert outcome.verdict is Verdict.BROKEN, f"{proof.faults[fault]} may do what it likes, and nothing breaks"
    assert outcome.trace.startswith("cycle 0: ")


def test_every_proof_has_a_defect_to_notice() -> None:
    assert [proof.name for proof in PROOFS if not proof.faults] == []
