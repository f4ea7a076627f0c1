"""Tell the user what a long step is doing, on standard error."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def step(title: str) -> Iterator[None]:
    """Print ``title`` now and the seconds it took when it is done; on a terminal, count them meanwhile."""
    start = time.monotonic()
    done = threading.Event()
    terminal = sys.stderr.isatty()

    def count() -> None:
        while not done.wait(1.0):
            print(f"\r{title} ... {time.monotonic() - start:.0f} s", end="", file=sys.stderr, flush=True)

    print(f"{title} ...", end="" if terminal else "\n", file=sys.stderr, flush=True)
    counter = threading.Thread(target=count, daemon=True)
    if terminal:
        counter.start()
    outcome = "failed after"
    try:
        yield
        outcome = "done in"
    finally:
        done.set()
        if terminal:
            counter.join()
        print(f"{chr(13) if terminal else ''}{title}: {outcome} {time.monotonic() - start:.1f} s", file=sys.stderr)
