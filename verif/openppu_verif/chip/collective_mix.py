"""Collectives of two chips, drawn at random: kinds, formats, lengths, places anywhere in memory, hard numbers."""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from openppu.link.collective.config import CollectiveConfig
from openppu.link.collective.plan import ALGORITHMS, FORMATS, HOPS, Job
from openppu.link.collective.wiring import pair
from openppu_sim.device.device import Device
from openppu_sim.kernels.collective import collective_programs

from openppu_verif.link.collective_jobs import numbers

ROUNDS, JOBS = 3, 4
"""Jobs of a round follow each other without a pause."""

MOST = 150
"""Elements."""

REGION = 4096
"""Bytes of each place, of which the last ones must stay."""

LIMIT = 20_000


def collect(devices: Sequence[Device], wait: Callable[[int], None]) -> list[NDArray[Any]]:
    """What there is in the targets of all jobs when they are done."""
    chance, rng = random.Random(29), np.random.default_rng(29)
    config = CollectiveConfig(link=devices[0].config.link)
    found = []
    for _ in range(ROUNDS):
        jobs = list(_jobs(chance, config, devices[0].config.hbm.capacity - (1 << 25)))
        for device in devices:
            for job in jobs:
                device.write(job.source, numbers(rng, REGION // FORMATS[job.format], job.format))
                device.write(job.target, rng.integers(0, 256, REGION, dtype=np.uint8))
        for job in jobs:
            for device, program in zip(devices, collective_programs(job, pair(), config), strict=True):
                device.submit("link", program)
        wait(LIMIT)
        found += [device.read(job.target, REGION, np.uint8) for job in jobs for device in devices]
    return found


def _jobs(chance: random.Random, config: CollectiveConfig, end: int) -> Iterator[Job]:
    taken: set[int] = set()
    for _ in range(JOBS):
        # Each place has 4 KiB of its own.
        places = [place for place in (chance.randrange(end // REGION) for _ in range(9)) if place not in taken][:3]
        taken.update(places)
        bases = [place * REGION + chance.choice([0, config.beat_bytes, 32]) for place in places]
        yield Job(
            operation=chance.choice(list(ALGORITHMS)),
            format=chance.choice(list(FORMATS)),
            elements=chance.randint(1, MOST),
            source=bases[0],
            target=bases[1],
            scratch=bases[2],
            hops=chance.choice(HOPS),
            root=chance.randrange(2),
        )
