"""Every random number is a pure function of (seed, purpose, position, branch).

There is no generator whose state must be saved. So a rewind, a branch and another framework get the same
random numbers. The key is a BLAKE2b digest. Arrays come from Philox, a counter-based generator
(Salmon et al., 2011).
"""

import hashlib

import numpy as np

__all__ = ["draw", "generator"]


def _key(seed: int, purpose: str, position: int, branch: int, size: int) -> int:
    text = f"{seed}/{purpose}/{position}/{branch}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=size).digest(), "little")


def draw(seed: int, position: int, branch: int = 0) -> float:
    """Return the draw of one step: u in [0, 1), made of 53 random bits.

    Args:
        seed: The seed of the generation.
        position: Where in the text the token comes, from 0.
        branch: Which branch draws; 0 is the first text.

    >>> draw(7, 3) == draw(7, 3), draw(7, 3) == draw(7, 4), draw(7, 3) == draw(7, 3, branch=1)
    (True, False, False)
    """
    # The 53 highest of 64 bits: as many as a float64 holds exactly.
    return (_key(seed, "draw", position, branch, 8) >> 11) * 2.0**-53


def generator(seed: int, purpose: str, position: int = 0, branch: int = 0) -> np.random.Generator:
    """Return a NumPy generator for arrays: initial weights, batch order, dropout masks, stories.

    Args:
        seed: The seed of the run.
        purpose: What the numbers are for, so that two uses of one seed differ.
        position: Which step or layer, from 0.
        branch: Which branch; 0 is the first.

    >>> int(generator(0, "order").integers(100)) == int(generator(0, "order").integers(100))
    True
    """
    return np.random.Generator(np.random.Philox(key=_key(seed, purpose, position, branch, 16)))
