"""Chance that repeats: streams of random numbers keyed by a seed and by what they are about.

Here: keyed generators and single draws. Not here: what is drawn (each process states its own odds).

Any window of time can be produced alone because no stream depends on what was drawn before it: the key says asset, process
and period, and the same key always gives the same numbers (Philox is a counter-based generator).
"""

from __future__ import annotations

import hashlib
import math
from statistics import NormalDist
from typing import Final

import numpy as np
import numpy.typing as npt

_NORMAL: Final = NormalDist()
# inverse of the normal distribution is infinite at 0 and 1; beyond these a delay would be a matter of the 53rd bit.
_EDGE: Final = 1e-9
_MANY: Final = 100.0


def generator(seed: int, *key: str | int) -> np.random.Generator:
    """Return the stream of a key."""
    digest = hashlib.blake2b(repr((seed, *key)).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


def uniform(seed: int, *key: str | int) -> float:
    """Return one number of [0, 1) for a key: much cheaper than a generator for a single draw."""
    digest = hashlib.blake2b(repr((seed, *key)).encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "little") >> 11) / (1 << 53)


def uniforms(seed: int, key: str, *numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return one number of [0, 1) for each tuple of numbers (arrays of one shape): `uniform` for many at once.

    The finalizer of SplitMix64 (Steele, Lea, Flood 2014), once for each number.
    """
    digest = hashlib.blake2b(repr((seed, key)).encode(), digest_size=8).digest()
    state = np.full(numbers[0].shape, int.from_bytes(digest, "little"), dtype=np.uint64)
    for number in numbers:
        state += number.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state ^= state >> np.uint64(31)
    found: npt.NDArray[np.float64] = (state >> np.uint64(11)).astype(np.float64) / float(1 << 53)
    return found


def wander(seed: int, key: str, which: npt.NDArray[np.int64], at: npt.NDArray[np.int64], period: int) -> npt.NDArray[np.float64]:
    """Return quantities that wander between -1 and 1, a new value each `period` seconds, smooth between two.

    Args:
        seed: the world's.
        key: what it is about.
        which: the number of the thing that has it.
        at: instants, seconds since 1970, of the same shape.
        period: seconds between two drawn values.
    """
    knot = at // period
    share = (at % period) / period
    ease = share * share * (3 - 2 * share)
    before, after = uniforms(seed, key, which, knot), uniforms(seed, key, which, knot + 1)
    return 2 * (before * (1 - ease) + after * ease) - 1


def lognormal(u: float, median: float, sigma: float) -> float:
    """Return the quantile `u` of a log-normal distribution: what delays of people look like.

    >>> lognormal(0.5, 20.0, 0.8)
    20.0
    """
    return median * math.exp(sigma * _NORMAL.inv_cdf(min(max(u, _EDGE), 1 - _EDGE)))


def poisson(u: float, mean: float) -> int:
    """Return the quantile `u` of a Poisson distribution; past a mean of 100, of the normal one that it then is within a percent.

    >>> poisson(0.0, 3.0), poisson(0.5, 3.0), poisson(0.5, 800.0)
    (0, 3, 800)
    """
    if mean > _MANY:  # the sum below begins with exp(-mean), which is 0 for a computer from 745 on
        return max(0, round(mean + math.sqrt(mean) * _NORMAL.inv_cdf(min(max(u, _EDGE), 1 - _EDGE))))
    term = total = math.exp(-mean)
    n = 0
    # Past ten times the mean (and 50) the rest of the distribution is below rounding.
    while u >= total and n < 10 * mean + 50:
        n += 1
        term *= mean / n
        total += term
    return n
