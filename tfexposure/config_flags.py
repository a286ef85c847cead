"""`Config` <-> absl flags: one flag per field, such as --generator.filters."""

import dataclasses

from absl import flags

from tfexposure.config import (
    SECTIONS,
    Config,
)

_DEFINE = {
    bool: flags.DEFINE_boolean,
    float: flags.DEFINE_float,
    int: flags.DEFINE_integer,
    str: flags.DEFINE_string,
}


def define(flag_values=flags.FLAGS):
    """Defines the flags; call once, before they are parsed."""
    for name, section in SECTIONS.items():
        for field in dataclasses.fields(section):
            _DEFINE[field.type](
                f"{name}.{field.name}",
                field.default,
                _help(field),
                flag_values=flag_values,
            )


def config_from_flags(flag_values=flags.FLAGS):
    """Builds the validated `Config` of the parsed flags.

    Raises:
        UserError: naming the flag whose value cannot be.
    """
    config = Config.from_dict(
        {
            name: {
                field.name: flag_values[f"{name}.{field.name}"].value
                for field in dataclasses.fields(section)
            }
            for name, section in SECTIONS.items()
        }
    )
    config.validate()
    return config


def _help(field):
    choices = field.metadata["choices"]
    if not choices:
        return field.metadata["help"]
    listed = ", ".join(map(str, choices))
    return f"{field.metadata['help']} One of: {listed}."
