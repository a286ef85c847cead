"""Public names of a package that are imported on first use."""

import importlib
import sys


def public_names(package, public):
    """Makes what a package needs whose public names are loaded late.

    Args:
        package: its `__name__`.
        public: dict, public name -> module that defines it.

    Returns:
        Its `__all__`, `__getattr__` and `__dir__`.
    """

    def load(name):
        if name not in public:
            raise AttributeError(
                f"module {package!r} has no attribute {name!r}"
            )
        value = getattr(importlib.import_module(public[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    names = sorted(public)
    return names, load, lambda: names
