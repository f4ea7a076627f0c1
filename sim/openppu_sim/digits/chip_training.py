"""Trains the digits network on linked chips, data-parallel in bf16: all that is computed are commands of their queues.

Each chip has its share of the training images and all of the network: binary32 weights, their velocity, and a bf16
copy that the products take. A step takes a batch of each chip's images through the network and back, adds up the
gradients of all chips over the link, and moves the weights (SGD with momentum) on every chip alike. What a step
leaves stays in memory, each step's behind the other's, so that it can be looked at afterwards.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from openppu.formats.spec import BF16
from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.plan import Job
from openppu.link.collective.wiring import Wiring

from openppu_sim.checks import whole
from openppu_sim.device.device import Cluster
from openppu_sim.digits.network import CLASSES, HIDDEN, Digits, normalise
from openppu_sim.errors import UserError
from openppu_sim.kernels.collective import collective_programs
from openppu_sim.kernels.matmul import MatmulJob, MatmulPlan, Operand, matmul_programs, plan_matmul
from openppu_sim.kernels.vector import jobs
from openppu_sim.kernels.vector.memory import Array, VectorJob, vector_programs
from openppu_sim.program.command import Command
from openppu_sim.reference.formats import encode

PIXELS = 64
COLUMNS = 64
FIRST, FIRST_BIAS, SECOND, SECOND_BIAS, USED = np.cumsum([0, PIXELS * HIDDEN, HIDDEN, HIDDEN * CLASSES, CLASSES])
"""Where each part begins in the vector of all parameters, in elements."""

PARAMETERS = -(-int(USED) // COLUMNS) * COLUMNS
LOSS = PARAMETERS
"""Behind the gradients stands the sum of the losses, so that it is added up with them."""

VECTOR_BYTES = 0x4000
"""Room for a vector of all parameters in binary32, and the loss."""

IMAGES, LABELS, TEST_IMAGES, BATCH, CODE, STEPS = (0x40_0000 * number for number in range(1, 7))
"""Where everything is in each chip's memory."""

MASTER, VELOCITY, COPY, SUMS = (VECTOR_BYTES * number for number in range(4))
STEP_BYTES = 4 * VECTOR_BYTES
"""Of what a step leaves: the weights before it, their velocity and copy, and the gradients that it found."""

HIDDEN_OUT, SCORES, ERROR, BACK, MASKED, LOSSES, GRADIENT, SCRATCH, CHOSEN, BEST = (
    BATCH + 0x4_0000 * number for number in range(10)
)
"""What a step has in between, and where the answers to test images are."""

SCORES_STRIDE, ERROR_STRIDE = 64, 32
"""Bytes: rows of ten numbers, so far apart as they are in the scratchpad, are loaded as one; and begin with a word."""

CODE_BYTES = 0x2000
"""Room for the programs of a job of the vector unit."""

NEXT, ADDED = 4, 5
"""Semaphores: the job before has ended; the link may begin."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How to train.

    Parameters
    ----------
    batch : int
        Images of a step on each chip.
    rate, momentum : float
    seed : int
        Of the first weights, and of the order of the images.

    Raises
    ------
    UserError
        If one of them cannot be.
    """

    batch: int = 32
    rate: float = 0.4
    momentum: float = 0.7
    seed: int = 0

    def __post_init__(self) -> None:
        whole("batch", self.batch, 1)
        whole("seed", self.seed, 0)
        if not 0 < self.rate < math.inf:
            raise UserError(f"rate = {self.rate}: give a number above 0")
        if not 0 <= self.momentum < 1:
            raise UserError(f"momentum = {self.momentum}: give a number from 0 on, below 1")

    def images(self, digits: Digits, chips: int) -> int:
        """Of each chip, at least a batch of them.

        Raises
        ------
        UserError
            If there are fewer.
        """
        found = len(digits.train_labels) // chips
        if self.batch > found:
            raise UserError(f"batch = {self.batch}: each chip has {found} images; give 1 to {found}")
        return found


class Trainer:
    """A network on chips that learns.

    Parameters
    ----------
    cluster : Cluster
    digits : Digits
    schedule : Schedule
    wiring : Wiring
        Of the chips.

    Raises
    ------
    UserError
        If a chip has fewer images than a batch.
    """

    def __init__(self, cluster: Cluster, digits: Digits, schedule: Schedule, wiring: Wiring) -> None:
        self.cluster, self.digits, self.schedule, self.wiring = cluster, digits, schedule, wiring
        self.config = cluster[0].config
        self.chips = len(cluster)
        self.done = 0
        """Steps."""
        self.images = schedule.images(digits, self.chips)
        self._plans: dict[str, MatmulPlan] = {}
        self._codes: dict[str, tuple[int, bytes]] = {}
        self._begin()

    def _begin(self) -> None:
        """Write the first weights, and all images: what the host does before anything runs."""
        rng = np.random.default_rng(self.schedule.seed)
        weights = np.zeros(PARAMETERS, np.float32)
        weights[FIRST:FIRST_BIAS] = rng.normal(0, np.sqrt(2 / PIXELS), PIXELS * HIDDEN)
        weights[SECOND:SECOND_BIAS] = rng.normal(0, np.sqrt(2 / HIDDEN), HIDDEN * CLASSES)
        order = rng.permutation(self.images * self.chips)
        for number, device in enumerate(self.cluster.devices):
            own = order[number :: self.chips]
            device.write(IMAGES, encode(normalise(self.digits.train_pixels[own]), BF16))
            device.write(LABELS, self.digits.train_labels[own].astype(np.int32))
            device.write(TEST_IMAGES, encode(normalise(self.digits.test_pixels), BF16))
            device.write(STEPS + MASTER, weights)
            device.write(STEPS + VELOCITY, np.zeros_like(weights))
            device.write(STEPS + COPY, encode(weights, BF16))

    def submit(self, steps: int, *, record: bool = False) -> None:
        """Give all chips so many steps to do, which they do without the host.

        Parameters
        ----------
        steps : int
        record : bool
            Let the first of them write records.
        """
        for number in range(steps):
            wait = (NEXT, 1) if number else None
            signal = (NEXT, 1) if number < steps - 1 else None
            self._step(wait, signal, record=record and number == 0)
            self.done += 1

    def step(self) -> float:
        """Do a step; the mean loss of its images, before it."""
        self.submit(1)
        self.cluster.wait()
        return self.loss(self.done - 1)

    def loss(self, step: int) -> float:
        """The mean loss of a step's images, of all chips."""
        total = self.cluster[0].read(STEPS + STEP_BYTES * step + SUMS + 4 * LOSS, 1, np.float32)[0]
        return float(total) / (self.schedule.batch * self.chips)

    def weights(self, step: int, chip: int = 0) -> np.ndarray:
        """All parameters before a step, as bits."""
        return self.cluster[chip].read(STEPS + STEP_BYTES * step + MASTER, PARAMETERS, np.uint32)

    def sums(self, step: int, chip: int = 0) -> np.ndarray:
        """All gradients of a step, and the sum of losses, as bits."""
        return self.cluster[chip].read(STEPS + STEP_BYTES * step + SUMS, PARAMETERS + 1, np.uint32)

    def answers(self) -> np.ndarray:
        """What the chips say that the test images show: each chip looks at its part of them."""
        count = len(self.digits.test_labels)
        share = -(-count // self.chips)
        parts = []
        for number in range(self.chips):
            first = min(share * number, count)
            parts.append((first, min(share, count - first)))
            if parts[-1][1]:
                self._test(number, *parts[-1])
        self.cluster.wait()
        read = [self.cluster[n].read(BEST, size, np.int32) for n, (_, size) in enumerate(parts) if size]
        return np.concatenate(read)

    def accuracy(self) -> float:
        """The share of test images that the chips recognise."""
        return float((self.answers() == self.digits.test_labels).mean())

    # The programs of a step.

    def _step(self, wait: tuple[int, int] | None, signal: tuple[int, int] | None, *, record: bool) -> None:
        batch, here = self.schedule.batch, STEPS + STEP_BYTES * self.done
        first = self.done * batch % (self.images - batch + 1)
        images, labels = IMAGES + 2 * PIXELS * first, LABELS + 4 * first
        work = [*self._forward(here, images, batch), *self._backward(here, images, labels, batch)]
        for number, (name, job) in enumerate(work):
            begin = (NEXT, 1) if number else wait
            end = (NEXT, 1) if number < len(work) - 1 else (ADDED, 1)
            self._put(name, job, range(self.chips), begin, end, record=record)
        add = Job(operation="all_reduce", elements=PARAMETERS + 1, source=GRADIENT, target=here + SUMS, scratch=SCRATCH)
        link = CollectiveConfig(link=self.config.link)
        for device, program in zip(self.cluster.devices, collective_programs(add, self.wiring, link), strict=True):
            program[0] = replace(program[0], wait=(ADDED, 1))
            program[-1] = replace(program[-1], signal=(NEXT, 1), record=record)
            device.submit("link", program)
        self._put("move", self._move(here), range(self.chips), (NEXT, 1), signal, record=record)

    def _forward(self, here: int, images: int, count: int) -> Iterator[tuple[str, MatmulJob | VectorJob]]:
        """Scores of images, by the weights of a step."""
        hidden = MatmulJob(
            m=count,
            n=HIDDEN,
            k=PIXELS,
            format="bf16",
            a=Operand(address=images, stride=2 * PIXELS),
            b=Operand(address=here + COPY, stride=2 * HIDDEN),
            c=here + MASTER + 4 * int(FIRST_BIAS),
            d=Operand(address=HIDDEN_OUT, stride=2 * HIDDEN),
            result_format="bf16",
            relu=True,
        )
        scores = MatmulJob(
            m=count,
            n=CLASSES,
            k=HIDDEN,
            format="bf16",
            a=hidden.d,
            b=Operand(address=here + COPY + 2 * int(SECOND), stride=2 * CLASSES),
            c=here + MASTER + 4 * int(SECOND_BIAS),
            d=Operand(address=SCORES, stride=SCORES_STRIDE),
        )
        yield from (("hidden", hidden), ("scores", scores))

    def _backward(self, here: int, images: int, labels: int, batch: int) -> Iterator[tuple[str, MatmulJob | VectorJob]]:
        """The loss, and the gradient of every parameter."""
        error = Array(address=ERROR, rows=batch, columns=CLASSES, format="bf16", stride=ERROR_STRIDE)
        losses = Array(address=LOSSES, rows=1, columns=batch)
        back = Array(address=BACK, rows=batch, columns=HIDDEN)
        masked = replace(back, address=MASKED, format="bf16")
        scores = Array(address=SCORES, rows=batch, columns=CLASSES, stride=SCORES_STRIDE)
        yield (
            "loss",
            jobs.cross_entropy(
                scores,
                Array(address=labels, rows=1, columns=batch),
                losses,
                error,
                scale=1 / (batch * self.chips),
            ),
        )
        yield "sum of losses", jobs.row_sum(losses, Array(address=GRADIENT + 4 * LOSS, rows=1, columns=1))
        yield "bias 2", jobs.column_sum(error, Array(address=GRADIENT + 4 * int(SECOND_BIAS), rows=1, columns=CLASSES))
        hidden, errors = Operand(address=HIDDEN_OUT, stride=2 * HIDDEN), Operand(address=ERROR, stride=ERROR_STRIDE)
        product = MatmulJob(m=1, n=1, k=1, format="bf16", a=hidden, b=errors, d=hidden)
        yield (
            "weights 2",
            replace(
                product,
                m=HIDDEN,
                n=CLASSES,
                k=batch,
                transpose_a=True,
                d=Operand(address=GRADIENT + 4 * int(SECOND), stride=4 * CLASSES),
            ),
        )
        yield (
            "back",
            replace(
                product,
                m=batch,
                n=HIDDEN,
                k=CLASSES,
                a=errors,
                b=Operand(address=here + COPY + 2 * int(SECOND), stride=2 * CLASSES),
                transpose_b=True,
                d=Operand(address=BACK, stride=4 * HIDDEN),
            ),
        )
        relu = replace(masked, address=HIDDEN_OUT)
        yield "masked", jobs.relu_gradient(relu, back, masked)
        yield "bias 1", jobs.column_sum(masked, Array(address=GRADIENT + 4 * int(FIRST_BIAS), rows=1, columns=HIDDEN))
        yield (
            "weights 1",
            replace(
                product,
                m=PIXELS,
                n=HIDDEN,
                k=batch,
                a=Operand(address=images, stride=2 * PIXELS),
                b=Operand(address=MASKED, stride=2 * HIDDEN),
                transpose_a=True,
                d=Operand(address=GRADIENT, stride=4 * HIDDEN),
            ),
        )

    def _move(self, here: int) -> VectorJob:
        """New weights and velocity, behind the old ones, and the copy in bf16."""
        old = Array(address=here + MASTER, rows=PARAMETERS // COLUMNS, columns=COLUMNS)
        new = here + STEP_BYTES
        return jobs.sgd(
            old,
            replace(old, address=here + SUMS),
            replace(old, address=here + VELOCITY),
            rate=self.schedule.rate,
            momentum=self.schedule.momentum,
            to=(replace(old, address=new + MASTER), replace(old, address=new + VELOCITY)),
            copy=replace(old, address=new + COPY, format="bf16"),
        )

    def _test(self, chip: int, first: int, count: int) -> None:
        """Let a chip say what test images show."""
        work = list(self._forward(STEPS + STEP_BYTES * self.done, TEST_IMAGES + 2 * PIXELS * first, count))
        scores = Array(address=SCORES, rows=count, columns=CLASSES, stride=SCORES_STRIDE)
        best = Array(address=BEST, rows=1, columns=count)
        chosen = [*work, ("answers", jobs.row_max(scores, replace(best, address=CHOSEN), best))]
        for number, (name, job) in enumerate(chosen):
            begin = (NEXT, 1) if number else None
            end = (NEXT, 1) if number < len(chosen) - 1 else None
            self._put(f"test {name} {count}", job, [chip], begin, end)

    def _put(
        self,
        name: str,
        job: MatmulJob | VectorJob,
        chips: range | list[int],
        wait: tuple[int, int] | None,
        signal: tuple[int, int] | None,
        *,
        record: bool = False,
    ) -> None:
        """Put a job into chips' queues."""
        programs: list[tuple[str, list[Command]]]
        if isinstance(job, MatmulJob):
            plan = self._plans.setdefault(name, plan_matmul(self.config, job)) if name not in self._plans else None
            plan = plan or self._plans[name]
            programs = list(matmul_programs(self.config, job, plan, wait=wait, signal=signal, record=record).items())
        else:
            at, code = self._codes.get(name, (CODE + CODE_BYTES * len(self._codes), b""))
            made = vector_programs(self.config, job, code_at=at, wait=wait, signal=signal, record=record)
            if not code:
                self._codes[name] = at, made.code.tobytes()
                for device in self.cluster.devices:
                    device.write(at, made.code)
            programs = list(made.items())
        for chip in chips:
            for queue, program in programs:
                self.cluster[chip].submit(queue, program)
