"""`Config` <-> absl flags: one flag per field, such as --generator.filters."""

import dataclasses

from absl import flags

from tfexposure.config import SECTIONS, TASKS, Config

_DEFINE = {
    bool: flags.DEFINE_boolean,
    float: flags.DEFINE_float,
    int: flags.DEFINE_integer,
    str: flags.DEFINE_string,
}


class _NumbersParser(flags.ArgumentParser):
    """Parses numbers with commas between them: `0.4,3.5`."""

    syntactic_help = "numbers with commas between them"

    def parse(self, argument):
        """Returns a tuple of int and float."""
        if not isinstance(argument, str):
            return tuple(argument)
        return tuple(_number(part) for part in argument.split(","))


class _NumbersSerializer(flags.ArgumentSerializer):
    def serialize(self, value):
        return ",".join(map(str, value))


def define(flag_values=flags.FLAGS):
    """Defines the flags; call once, before they are parsed."""
    flags.DEFINE_enum(
        "task",
        Config.task,
        TASKS,
        "The paper's GAN, or the blind model.",
        flag_values=flag_values,
    )
    for name, section in SECTIONS.items():
        for field in dataclasses.fields(section):
            path = f"{name}.{field.name}"
            if field.type is tuple:
                flags.DEFINE(
                    _NumbersParser(),
                    path,
                    field.default,
                    _help(field),
                    flag_values,
                    _NumbersSerializer(),
                )
            else:
                _DEFINE[field.type](
                    path, field.default, _help(field), flag_values=flag_values
                )


def to_arguments(config):
    """Returns the flags, as arguments, that give `config`."""
    return [
        f"--{path}={','.join(map(str, value))}"
        if isinstance(value, tuple)
        else f"--{path}={value}"
        for path, value in config.flat().items()
    ]


def config_from_flags(flag_values=flags.FLAGS):
    """Builds the validated `Config` of the parsed flags.

    Raises:
        UserError: naming the flag whose value cannot be.
    """
    config = Config.from_dict(
        {"task": flag_values["task"].value}
        | {
            name: {
                field.name: flag_values[f"{name}.{field.name}"].value
                for field in dataclasses.fields(section)
            }
            for name, section in SECTIONS.items()
        }
    )
    config.validate()
    return config


def _number(text):
    try:
        return int(text)
    except ValueError:
        return float(text)


def _help(field):
    choices = field.metadata["choices"]
    if not choices:
        return field.metadata["help"]
    listed = ", ".join(map(str, choices))
    return f"{field.metadata['help']} One of: {listed}."
