"""The flags of curation, for the scripts that do it."""

from absl import flags

from tfexposure.data.curation import Rules


def define():
    """Defines the flags; call once, before they are parsed."""
    flags.DEFINE_string("folder", None, "Folder of photos.")
    flags.DEFINE_integer(
        "bright_level",
        250,
        "A pixel whose largest channel reaches this 8-bit value is "
        "overexposed.",
        lower_bound=0,
        upper_bound=255,
    )
    flags.DEFINE_integer(
        "dark_level",
        5,
        "A pixel whose largest channel is at most this is underexposed.",
        lower_bound=0,
        upper_bound=255,
    )
    flags.DEFINE_float(
        "max_bright",
        0.01,
        "Fraction of overexposed pixels that a kept photo may have.",
        lower_bound=0,
        upper_bound=1,
    )
    flags.DEFINE_float(
        "max_dark",
        0.01,
        "Fraction of underexposed pixels that a kept photo may have.",
        lower_bound=0,
        upper_bound=1,
    )
    flags.DEFINE_integer(
        "max_unreadable",
        100,
        "More unreadable photos than this are an error.",
        lower_bound=0,
    )


def rules():
    """Returns the `Rules` of the parsed flags."""
    values = flags.FLAGS
    return Rules(
        bright_level=values.bright_level,
        dark_level=values.dark_level,
        max_bright=values.max_bright,
        max_dark=values.max_dark,
    )
