"""TensorFlow Datasets as a source of photos: `tfds:<name>`."""

from tfexposure.errors import UserError, import_extra

_PREFIX = "tfds:"
# Examples held while shuffling; they are still encoded, some 20 kB each.
_BUFFER = 4096


def is_tfds(source):
    """Tells whether a source names a TensorFlow dataset."""
    return source.startswith(_PREFIX)


def encoded_examples(photos, seed):
    """Streams the encoded photos of a TFDS dataset, reproducibly, for ever.

    Examples are read in the order of their files and shuffled under the seed.
    They stay encoded, so that skipping to where a run stood is quick.

    Args:
        photos: `Photos` of a tfds: source.
        seed: int.

    Returns:
        tf.data.Dataset of (position, encoded photo) as (int64, string).

    Raises:
        UserError: if tensorflow-datasets is not installed, or has no such
            dataset with an `image` feature.
    """
    tfds = import_extra("tensorflow_datasets", "data")
    name = photos.source.removeprefix(_PREFIX)
    try:
        builder = tfds.builder(name)
    except (ValueError, tfds.core.DatasetNotFoundError) as error:
        raise UserError(f"{photos.source}: {error}") from error
    builder.download_and_prepare()
    if "image" not in builder.info.features:
        raise UserError(f"{photos.source} has no feature named 'image'")
    return (
        builder.as_dataset(
            split=photos.split,
            decoders={"image": tfds.decode.SkipDecoding()},
            read_config=tfds.ReadConfig(interleave_cycle_length=1),
        )
        .map(lambda example: example["image"])
        .shuffle(_BUFFER, seed=seed, reshuffle_each_iteration=True)
        .repeat()
        .enumerate()
    )
