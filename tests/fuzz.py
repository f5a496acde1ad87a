"""Length of random tests: examples in ordinary runs, seconds when ``MIA_FUZZ_SECONDS`` is set.

Ordinary runs draw the same examples every time. With the variable, each test draws until its
time is over, from the seeds that follow ``MIA_FUZZ_SEED``, so that a failure is found again.
"""

import functools
import inspect
import os
import time

from hypothesis import HealthCheck, seed, settings

SECONDS = float(os.environ.get("MIA_FUZZ_SECONDS", "0"))
SEED = int(os.environ.get("MIA_FUZZ_SEED", "1"))
PER_SEED = 300


def fuzz(examples: int):
    """Decorate a hypothesis test: so many examples, or as many as the seconds allow."""

    def decorate(test):
        bounded = settings(
            max_examples=PER_SEED if SECONDS else examples,
            derandomize=not SECONDS,
            database=None,
            suppress_health_check=list(HealthCheck),
        )(test)
        if not SECONDS:
            return bounded

        @functools.wraps(test)
        def until_the_time_is_over(*args, **kwargs):
            end, number = time.monotonic() + SECONDS, SEED
            while time.monotonic() < end:
                seed(number)(bounded)(*args, **kwargs)
                number += 1

        until_the_time_is_over.__signature__ = inspect.signature(bounded)
        return until_the_time_is_over

    return decorate
