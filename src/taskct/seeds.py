"""The seed of every random draw, derived from one root by name and never from the order of execution."""

import zlib

import numpy as np


def derive_seed(root: int, *names: str | int) -> int:
    """A seed for one purpose.

    Parameters
    ----------
    root
        The root, at least 0.
    names
        Words, or numbers in [0, 2⁶³): what the draws are for, from the general to the particular, as in
        `("train", "shuffle", epoch)`.

    Returns
    -------
    A number in [0, 2⁶³), the same for the same root and names on every machine.

    References
    ----------
    .. [1] NumPy, "Parallel random number generation": children of a `SeedSequence` by their spawn keys.

    Examples
    --------
    >>> derive_seed(0, "shuffle", 1) == derive_seed(0, "shuffle", 1), derive_seed(0, "1") == derive_seed(0, 1)
    (True, False)
    """
    # Three words each, the first of which tells numbers from names, so no two lists of names give one key.
    key: list[int] = []
    for name in names:
        if isinstance(name, str):
            key += [1, zlib.crc32(name.encode()), len(name)]
        else:
            key += [0, *divmod(name, 2**32)]
    state = np.random.SeedSequence(root, spawn_key=tuple(key)).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))
