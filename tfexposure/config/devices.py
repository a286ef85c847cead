"""Which devices `train.devices` names."""

import re

from tfexposure.errors import UserError


def parse_devices(text):
    """Reads a value of `train.devices`.

    Args:
        text: `all`; `cpu:2`, as many devices made of the processor; or
            `gpu:0,1`, GPUs by their numbers.

    Returns:
        Pair of `"all"`, `"cpu"` or `"gpu"`, and a tuple of int: none, how many,
        or the numbers.

    Raises:
        UserError: for other text.
    """
    found = re.fullmatch(r"all|cpu:[1-9]\d*|gpu:\d+(,\d+)*", text)
    kind, _, numbers = text.partition(":")
    numbers = tuple(int(n) for n in numbers.split(",") if n.isdigit())
    if not found or len(set(numbers)) < len(numbers):
        raise UserError(
            f"train.devices must be all, cpu:2 or gpu:0,1, not {text!r}"
        )
    return kind, numbers


def choose_gpus(found, numbers):
    """Picks GPUs by their numbers.

    Args:
        found: list of all GPUs of the machine.
        numbers: of `parse_devices`.

    Raises:
        UserError: if there is none of such a number.
    """
    if max(numbers) >= len(found):
        raise UserError(
            f"train.devices names GPU {max(numbers)}, and {len(found)} are "
            "found; the first is number 0"
        )
    return [found[number] for number in numbers]
