"""How cameras overexpose: the training recipe of blind models.

A photo's camera is drawn on the host, as small tables and a few numbers; the
pixels are worked on by `keras.ops`, on whatever device trains, so that the
recipe needs no TensorFlow. A photo y passes through

    light = decode(y) * balance        response curve, white balance
    target = encode(min(light, 1))     what the photo should have been
    raw = min(to_sensor @ light, c)    the sensor clips in its own colours
    exposed = encode(min(from_sensor @ raw / tau, 1)), noise, JPEG, 8 bits.

`decode` and `encode` are tables, whatever the curve. Light may lie above white:
where a photo's file knows it (`LIGHT`), or where it is made up for whites.

Three kinds of photos are drawn. Some are taken as the paper does, through a
power law (or the sRGB curve), and nothing else is done to them. Others are
taken as real cameras take real scenes: with more contrast and less colour than
photos from the web, through curves with a shoulder, and metered: the mean of a
well-exposed photo lies near middle grey, that of an overexposed one in a narrow
range as well. The last are made by the exposure slider of a raw developer;
their target is a finished photo, with whites near white. `benchmarks/recipe.py`
compares them with real brackets.
"""

from tfexposure.blind.camera.jpeg import jpeg
from tfexposure.blind.camera.pictures import (
    expose,
    keep_real_pairs,
    look_up,
    white_noise,
)
from tfexposure.blind.camera.recipe import (
    FINISHED,
    KEPT,
    LIGHT,
    PAIR,
    draw_cameras,
)
from tfexposure.blind.camera.response import (
    TABLE_SIZE,
    camera_response,
    decode_table,
    encode_table,
    expand_highlights,
    lift_highlights,
    raise_contrast,
)
from tfexposure.config import CameraConfig as Recipe

__all__ = [
    "FINISHED",
    "KEPT",
    "LIGHT",
    "PAIR",
    "TABLE_SIZE",
    "Recipe",
    "camera_response",
    "draw_cameras",
    "expose",
    "decode_table",
    "encode_table",
    "expand_highlights",
    "jpeg",
    "keep_real_pairs",
    "lift_highlights",
    "look_up",
    "raise_contrast",
    "white_noise",
]
