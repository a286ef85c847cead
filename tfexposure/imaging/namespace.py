"""Choice of the array library a formula runs on: NumPy or `keras.ops`.

The two share the names and arguments of all that the formulas need, so each
formula is written once, against the module `xp` that `namespace_of` returns.
"""

import numbers

import numpy as np

_OF_NUMPY = (np.ndarray, np.generic, numbers.Number, list, tuple)


def namespace_of(*values):
    """Returns `numpy` for arrays, numbers and lists, else `keras.ops`.

    Args:
        *values: what a formula takes; one tensor among them decides.

    >>> namespace_of(np.zeros(3), 0.5).__name__
    'numpy'
    """
    if all(isinstance(value, _OF_NUMPY) for value in values):
        return np
    from keras import ops

    return ops


def as_array(values, xp, dtype=None):
    """Makes values an array of `xp`, without a copy where there is one.

    Args:
        values: array, tensor, number or list of numbers.
        xp: what `namespace_of` returned.
        dtype: type of the result; None keeps that of `values`.
    """
    if xp is np:
        return np.asarray(values, dtype)
    return xp.convert_to_tensor(values, dtype)
