"""A sample of `make fuzz`, and that its corpus and mutations are worth it."""

import photo_fuzz
import pytest

from tfexposure.errors import UserError
from tfexposure.photo.io import decode
from tfexposure.photo.io.photo import Limits

_SAMPLE = 12


def is_read(name, data):
    if name.endswith(".heic"):
        pytest.importorskip("pillow_heif", reason="extra heic is absent")
    try:
        decode.read_photo(data, Limits(pixels=1_000_000))
    except UserError:
        return False
    return True


@pytest.mark.parametrize("name", photo_fuzz.names())
def test_broken_files_are_one_line_or_a_whole_file(name, tmp_path):
    assert is_read(name, (photo_fuzz.CORPUS / name).read_bytes())
    for number in range(_SAMPLE):
        fault = photo_fuzz.fault_of(name, number, tmp_path)
        assert fault is None, f"{name}:{number}: {fault}"


def test_inputs_are_many_and_the_same_each_time():
    names = photo_fuzz.names()
    inputs = {photo_fuzz.input_of(name, n) for name in names for n in range(30)}
    assert len(inputs) > 25 * len(names)
    assert photo_fuzz.input_of(names[0], 7) == photo_fuzz.input_of(names[0], 7)


def test_a_good_part_of_the_inputs_gets_past_the_first_check():
    names = [n for n in photo_fuzz.names() if not n.endswith(".heic")]
    read = sum(
        is_read(name, photo_fuzz.input_of(name, n))
        for name in names
        for n in range(20)
    )
    assert read > 20 * len(names) / 5
