"""Integer hashes that stand in for random generators: the same numbers in every version of every library.

numpy may change its generators' streams between releases; an order or a view must not change with them.
"""

import numpy as np
import numpy.typing as npt

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def mix64(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Apply the splitmix64 finalizer (Steele et al. 2014), a bijection of uint64 values of any shape."""
    with np.errstate(over="ignore"):
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def hash64(*words: int | npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Hash a tuple of words to uint64; arrays broadcast, so one call hashes a whole array of tuples."""
    state = np.zeros(1, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for word in words:
            state = mix64(state * _GOLDEN + np.asarray(word, dtype=np.uint64) + _GOLDEN)
    return state


def mix32(x: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """Apply the murmur3 finalizer (Appleby 2011), a bijection of uint32 values of any shape."""
    with np.errstate(over="ignore"):
        x = (x ^ (x >> np.uint32(16))) * np.uint32(0x85EBCA6B)
        x = (x ^ (x >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return x ^ (x >> np.uint32(16))
