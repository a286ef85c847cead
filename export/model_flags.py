"""Which model to export: the flags that the export scripts have in common."""

from pathlib import Path

from absl import flags

from tfexposure import pretrained
from tfexposure.config import RunDir
from tfexposure.errors import UserError


def define():
    """Defines the flags; call once, before they are parsed."""
    flags.DEFINE_string("run_dir", None, "Folder of the training run.")
    flags.DEFINE_string(
        "model",
        None,
        "In place of a run, a model that comes with tfexposure "
        f"({', '.join(pretrained.names())}), or a .weights.h5 file of the "
        "natural model.",
    )
    flags.DEFINE_enum(
        "weights",
        "averaged",
        ["averaged", "live"],
        "Weights averaged over training, or those of the last step.",
    )
    flags.DEFINE_integer(
        "step", None, "Checkpoint to export; the newest if none."
    )


def check():
    """Raises UserError unless the parsed flags name one model."""
    values = flags.FLAGS
    if (values.run_dir is None) == (values.model is None):
        raise UserError("give either --run_dir or --model")


def load():
    """Loads the model that the parsed flags name.

    Returns:
        Pair of the `LoadedRun` and the folder that exports go to
        by default.

    Raises:
        UserError: if there is no such model or it does not load.
    """
    from tfexposure import runtime

    values = flags.FLAGS
    if values.run_dir:
        loaded = runtime.load_run(values.run_dir, values.weights, values.step)
        return loaded, RunDir(values.run_dir).exports
    if values.model.endswith(".weights.h5"):
        return runtime.load_natural(values.model), Path(values.model).parent
    return runtime.load_shipped(values.model), Path("exports", values.model)
