"""What a signature of an exported file should take and answer."""

from tfexposure.errors import UserError

DEFAULT = "serving_default"
# The network's two functions, of a thumbnail and of a photo at reduced size.
# Named as in the first files: signatures are public.
LOOK, FIELD = "serving_look", "serving_field"
# What the first answers: slopes, embedding and exposure.
LOOKED = ("slopes", "code", "exposure")
# The signatures of encoded pictures, what they take and what they answer.
OF_BYTES, OF_BYTES_OPTIONS = "serving_bytes", "serving_bytes_options"
BYTES_IN, BYTES_OUT = "image_bytes", "restored_bytes"


def check_default(signatures, origin):
    """Refuses a file without `serving_default`.

    Raises:
        UserError: naming the signatures there are.
    """
    if DEFAULT not in signatures:
        raise UserError(
            f"{origin}: has no signature {DEFAULT}; it has "
            f"{', '.join(sorted(signatures)) or 'none'}"
        )


def take_thumbnail(model, shape, origin):
    """Notes the shape (1, T, T, C) of a model's input `thumbnail`.

    T may be None, or less than 1, where the manifest has told it.

    Raises:
        UserError: if T is unknown, or C neither 3 nor 9.
    """
    side = shape[1] if shape[1] and shape[1] > 0 else model.thumbnail
    if not side or shape[3] not in (3, 9):
        raise UserError(
            f"{origin}: takes a thumbnail of shape {tuple(shape)}; expected "
            "(1, T, T, 3) or (1, T, T, 9), T here or in the manifest"
        )
    model.thumbnail, model.thumbnail_channels = int(side), int(shape[3])


def check_names(inputs, outputs, origin):
    """Refuses a signature that does not restore.

    Raises:
        UserError: naming its inputs and outputs.
    """
    expected = {"image"} | ({"thumbnail"} & set(inputs))
    if set(inputs) != expected or "restored" not in outputs:
        raise UserError(
            f"{origin}: its signature should take image (and perhaps "
            "thumbnail) and answer restored; it takes "
            f"{', '.join(sorted(inputs))} and answers "
            f"{', '.join(sorted(outputs))}"
        )


def take_look(answer, origin):
    """Picks slopes, embedding and exposure from what `LOOK` answered.

    Raises:
        UserError: if the file is too old to tell the exposure.
    """
    if "exposure" not in answer:
        raise UserError(
            f"{origin}: was exported by an earlier version, which did not tell "
            "the exposure; export it again"
        )
    return tuple(answer[name] for name in LOOKED)


def first_line(error):
    """Returns the first line of an error's message, in short."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]
