"""TensorFlow Datasets as a source of photos: `tfds:<name>`."""

from tfexposure.data.epochs import shuffled_epochs
from tfexposure.errors import UserError, import_extra

PREFIX = "tfds:"


class TfdsPhotos:
    """The images of one split of a TensorFlow dataset.

    They stay encoded until they are used.

    Attributes:
        source: str, as given.
        count: number of photos.
    """

    def __init__(self, source, builder, split):
        self.source = source
        self._builder = builder
        self._split = split
        self.count = builder.info.splits[split].num_examples

    @classmethod
    def open(cls, source, split):
        """Prepares the dataset, downloading it where needed.

        Args:
            source: `tfds:<name>`; the name may have a configuration and a
                version, or be the folder of a prepared dataset.
            split: str, such as `train` or `train[:90%]`.

        Raises:
            UserError: if tensorflow-datasets is not installed, or has no such
                dataset or split, or the dataset no `image`.
        """
        tfds = import_extra("tensorflow_datasets", "data")
        name = source.removeprefix(PREFIX)
        try:
            if name.startswith(("/", "./", "../")):
                builder = tfds.builder_from_directory(name)
            else:
                builder = tfds.builder(name)
                builder.download_and_prepare()
            builder.info.splits[split]
        except (
            AssertionError,  # Of a version that is not there.
            KeyError,
            OSError,
            ValueError,
            tfds.core.DatasetNotFoundError,
        ) as error:
            # The rest lists some 600 datasets.
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise UserError(f"{source}, split {split!r}: {reason}") from error
        if "image" not in builder.info.features:
            raise UserError(f"{source} has no feature named 'image'")
        return cls(source, builder, split)

    def fingerprint(self):
        """Returns the dataset's full name, version, split and checksum."""
        info = self._builder.info
        return f"{info.full_name}:{self._split}:{self.count}"

    def encoded(self, seed, start=0):
        """Streams (position, encoded photo), for ever; see `FilePhotos`."""
        tfds = import_extra("tensorflow_datasets", "data")
        photos = self._builder.as_dataset(
            split=self._split,
            shuffle_files=False,
            decoders={"image": tfds.decode.SkipDecoding()},
            read_config=tfds.ReadConfig(interleave_cycle_length=1),
        ).map(lambda example: example["image"])
        return shuffled_epochs(lambda epoch: photos, self.count, seed, start)

    def names(self, positions, seed):
        """Returns a description of some positions of the stream."""
        del seed  # A dataset's examples have no names.
        return [f"{self.source}, example {p}" for p in positions]
