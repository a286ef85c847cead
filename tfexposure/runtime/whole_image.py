"""The network alone, on a whole image at once."""

from tfexposure.errors import UserError
from tfexposure.runtime.runners import open_runner
from tfexposure.runtime.thumbnails import make_thumbnail


def open_restorer(model):
    """Opens a model as a function of whole images.

    Args:
        model: SavedModel folder, `.tflite` file, run folder, name of a model
            that ships, or an open `Runner`.

    Returns:
        A function from float32 (H, W, 3) in [0, 1] to the same, restored.

    Raises:
        UserError: if there is no such model, or if it takes one size alone.
    """
    runner = open_runner(model)
    if runner.fixed_size:
        raise UserError(
            f"{model} takes photos of {runner.fixed_size} pixels only; "
            "a model for any size is needed here."
        )

    def restore(image):
        if not runner.thumbnail:
            return runner.restore(image)
        height, width = image.shape[:2]
        small = make_thumbnail([(0, image)], height, width, runner)
        return runner.restore(image, small)

    return restore
