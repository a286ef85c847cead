"""How cameras overexpose: the training recipe of blind models.

A photo's camera is drawn on the host, as two small tables and a few numbers;
the pixels are worked on by `keras.ops`, on whatever device trains, so that the
recipe needs no TensorFlow. A photo y passes through

    light = decode(y) * balance        response curve, white balance
    target = encode(min(light, 1))     what the photo should have been
    exposed = encode(min(light / tau, 1)), plus noise, JPEG, 8-bit rounding.

Both maps are one-dimensional per channel, so each is one table from display
values to display values, whatever the curve.

Two kinds of photos are drawn. Some are taken as the paper does, through a power
law (or the sRGB curve), and nothing else is done to them. The others are taken
as real cameras take real scenes: with more contrast and less colour than photos
from the web, through curves with a shoulder, and metered: the mean of a
well-exposed photo lies near middle grey, that of an overexposed one in a narrow
range as well. `benchmarks/recipe.py` compares them with real brackets.
"""

from tfexposure.blind.camera.jpeg import jpeg
from tfexposure.blind.camera.pictures import (
    add_glow,
    expose,
    look_up,
    white_noise,
)
from tfexposure.blind.camera.recipe import draw_cameras
from tfexposure.blind.camera.response import (
    TABLE_SIZE,
    camera_response,
    exposure_tables,
    lift_highlights,
    raise_contrast,
)
from tfexposure.config import CameraConfig as Recipe

__all__ = [
    "TABLE_SIZE",
    "Recipe",
    "add_glow",
    "camera_response",
    "draw_cameras",
    "expose",
    "exposure_tables",
    "jpeg",
    "lift_highlights",
    "look_up",
    "raise_contrast",
    "white_noise",
]
