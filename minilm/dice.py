"""Every random number: a pure function of (seed, purpose, position, branch).

There is no generator to save or to rewind, so a rewind, a branch and another framework meet the same
dice. The key is a BLAKE2b digest; arrays come from Philox (Salmon et al., 2011), a counter-based generator.
"""

import hashlib

import numpy as np

__all__ = ["draw", "generator"]


def _key(seed: int, purpose: str, position: int, branch: int, size: int) -> int:
    text = f"{seed}/{purpose}/{position}/{branch}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=size).digest(), "little")


def draw(seed: int, position: int, branch: int = 0) -> float:
    """The draw of one step: u in [0, 1), 53 random bits.

    >>> draw(7, 3) == draw(7, 3), draw(7, 3) == draw(7, 4), draw(7, 3) == draw(7, 3, branch=1)
    (True, False, False)
    """
    return (_key(seed, "draw", position, branch, 8) >> 11) * 2.0**-53


def generator(seed: int, purpose: str, position: int = 0, branch: int = 0) -> np.random.Generator:
    """A NumPy generator for arrays: initial weights, batch order, dropout masks, stories.

    >>> int(generator(0, "order").integers(100)) == int(generator(0, "order").integers(100))
    True
    """
    return np.random.Generator(np.random.Philox(key=_key(seed, purpose, position, branch, 16)))
