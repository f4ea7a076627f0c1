"""Products of matrices on a chip's RTL, from memory to memory: every byte compared, the cycles counted."""

from dataclasses import dataclass, replace

import numpy as np
from openppu.chip.chip import queues_of
from openppu.command.layouts import COMMAND_BYTES
from openppu.config import ChipConfig
from openppu.formats.spec import FORMATS
from openppu_sim.device.device import SCRATCHPAD, Device
from openppu_sim.device.driver import Driver
from openppu_sim.device.records import Record, read_records, set_records
from openppu_sim.errors import SimulationError
from openppu_sim.kernels.matmul import MatmulJob, MatmulPlan, Operand, matmul_programs, plan_matmul
from openppu_sim.kernels.memory_timing import Bandwidth
from openppu_sim.reference.formats import from_binary32
from openppu_sim.reference.matmul import matmul as exact
from openppu_sim.reference.quantise import int32_to_int8

from openppu_verif.chip.native import Session

A, B, D = 0, 0x80_0000, 0x100_0000
"""Where the matrices are in memory."""

SCALE = np.float32(0.002)
LOG2 = 6
"""Of a ring's commands, where the rings are in the scratchpad."""

LIMIT = 20_000_000
STEP = 2_000


@dataclass(frozen=True, kw_only=True)
class ProductRun:
    """A product that was computed.

    Parameters
    ----------
    plan : MatmulPlan
    cycles : int
        From the doorbell of the queue that loads to the interrupt of the last store.
    records : list of Record
        If they were asked for.
    """

    plan: MatmulPlan
    cycles: int
    records: list[Record]


class _Bells:
    """Hardware that remembers when a register was first about to be written since it was told to forget."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.rung: int | None = None

    def __getattr__(self, name: str):
        return getattr(self._session, name)

    def write_register(self, chip: int, address: int, value: int) -> None:
        if self.rung is None:
            self.rung = self._session.now
        self._session.write_register(chip, address, value)


def make_job(m: int, k: int, n: int, fmt: str) -> MatmulJob:
    """A product whose results have the operands' format."""
    size = FORMATS[fmt].bits // 8
    return MatmulJob(
        m=m,
        n=n,
        k=k,
        format=fmt,
        a=Operand(address=A, stride=k * size),
        b=Operand(address=B, stride=n * size),
        d=Operand(address=D, stride=n * size),
        result_format=fmt,
        scale=int(SCALE.view(np.uint32)),
    )


class ProductBench:
    """A chip that multiplies matrices.

    Parameters
    ----------
    session : Session
        Of one chip.
    chip : ChipConfig
    bandwidth : Bandwidth, optional
        What plans count on.
    rings_on_chip : bool
        The commands' rings are in the scratchpad, not in memory.
    log2 : int
        Of the commands of a ring that is there.
    """

    def __init__(
        self,
        session: Session,
        chip: ChipConfig,
        *,
        bandwidth: Bandwidth | None = None,
        rings_on_chip: bool = False,
        log2: int = LOG2,
    ) -> None:
        self.session, self.chip, self.bandwidth = session, chip, bandwidth
        self.left_alone = (len(queues_of(chip)) * COMMAND_BYTES) << log2 if rings_on_chip else 0
        self._bells = _Bells(session)
        if rings_on_chip:
            place = SCRATCHPAD + chip.scratchpad.capacity - self.left_alone
            self.driver = Driver(self._bells, chip, None, rings=place, log2=log2)
        else:
            self.driver = Driver(self._bells, chip, None)
        self.device = Device(chip, self.driver)
        self._mask = 1 << self.driver.queues.index("store")
        self.driver.registers[0]["command.interrupt_enable"] = self._mask

    def run(self, job: MatmulJob, *, record: bool = False, seed: int = 1) -> ProductRun:
        """Compute a product of random matrices.

        Parameters
        ----------
        job : MatmulJob
            With addresses as of `make_job`.
        record : bool
            Have each command's times.
        seed : int

        Raises
        ------
        SimulationError
            If a byte is wrong, a rule of the memory devices is broken, or it does not end.
        """
        session, device = self.session, self.device
        plan = plan_matmul(self.chip, job, bandwidth=self.bandwidth, left_alone=self.left_alone)
        a, b, expected = _matrices(job, seed)
        device.write(A, a)
        device.write(B, b)
        if record:
            set_records(device)
        programs = matmul_programs(self.chip, job, plan, record=record)
        programs["store"][-1] = replace(programs["store"][-1], interrupt=True)
        device.submit("matmul", programs["matmul"])
        device.submit("store", programs["store"])
        self._bells.rung = None
        device.submit("load", programs["load"])
        begun = self._bells.rung
        assert begun is not None
        more = True
        while not session.run(STEP if more else LIMIT, until=1):
            if session.now - begun > LIMIT:
                raise SimulationError(f"a product of {job.m} x {job.k} x {job.n} does not end")
            more = self.driver.feed()
        cycles = session.now - begun
        self.driver.wait(STEP)
        self.driver.registers[0]["command.seen"] = self._mask
        found = device.read(D, (job.m, job.n), expected.dtype)
        if not (found == expected).all():
            wrong = int((found != expected).sum())
            raise SimulationError(f"a product of {job.m} x {job.k} x {job.n}: {wrong} wrong results")
        if session.problems:
            raise SimulationError("a rule of the memory devices is broken")
        return ProductRun(plan=plan, cycles=cycles, records=read_records(device) if record else [])


def _matrices(job: MatmulJob, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    fmt = FORMATS[job.format]
    shapes = (job.m, job.k), (job.k, job.n)
    zeros = np.zeros((job.m, job.n), np.uint32)
    if job.format == "int8":
        whole, other = (rng.integers(-128, 128, shape).astype(np.int8) for shape in shapes)
        return (
            whole,
            other,
            int32_to_int8(exact(whole.view(np.uint8), other.view(np.uint8), zeros, fmt), SCALE.view(np.uint32)),
        )
    a, b = (from_binary32(rng.standard_normal(shape).astype(np.float32).view(np.uint32), fmt) for shape in shapes)
    return a, b, from_binary32(exact(a, b, zeros, fmt), fmt)
