"""Photos as bytes and images as arrays, corrected by one model for all."""

import io

from tfexposure.errors import UserError
from tfexposure.http.refusal import Refusal
from tfexposure.photo import batch
from tfexposure.photo.correcting import correct_photo
from tfexposure.photo.io.decode import read_photo
from tfexposure.photo.io.photo import Photo
from tfexposure.photo.io.pixel_buffer import PixelBuffer
from tfexposure.photo.results import CORRECTED, FAILED, UNCHANGED


class Corrector:
    """Corrects photos of several threads.

    Photos of as many pixels together as one may have are worked on at the same
    time, so that the memory does not grow with the threads.

    Args:
        model: `Model`.
        limits: `Limits` of a photo.
        metrics: `Metrics`, told of each photo.
    """

    def __init__(self, model, limits, metrics):
        self.model = model
        self.limits = limits
        self._metrics = metrics
        self._pixels = batch.Gate(limits.pixels)

    def correct_file(self, data, settings, output_of, stop, name="photo"):
        """Corrects a file as `tfexposure correct` does.

        Args:
            data: bytes of the file.
            settings: `Settings`.
            output_of: function of a `Correction`, to its `Output`.
            stop: `Stop`.
            name: what errors call it.

        Returns:
            (`Photo`, `Correction`, bytes of the answer, key of its format).

        Raises:
            Refusal: if it is no photo that can be read or corrected.
        """
        try:
            stop()
            photo = read_photo(data, self.limits, name)
            correction = self._correct(photo, settings, stop)
            output, answer = output_of(correction), io.BytesIO()
            batch.write_correction(photo, correction, answer, output)
        except UserError as error:
            self._metrics.tell_photo(FAILED, 0)
            raise Refusal(400, error) from error
        return photo, correction, answer.getvalue(), output.kind or photo.format

    def correct_image(self, image, settings, stop):
        """Corrects an array: a `Correction`.

        Args:
            image: uint8, or float32 in [0, 1], (H, W, 3), not empty.
            settings: `Settings`.
            stop: `Stop`.

        Raises:
            Refusal: if it is too large, or the model cannot do it.
        """
        height, width, _ = image.shape
        if height * width > self.limits.pixels:
            raise Refusal(
                400,
                f"image: {width} x {height} pixels, more than the "
                f"{self.limits.pixels:,} allowed (--max_pixels)",
            )
        photo = Photo("image", PixelBuffer.of_array(image), "png")
        try:
            return self._correct(photo, settings, stop)
        except UserError as error:
            raise Refusal(400, error) from error

    def _correct(self, photo, settings, stop):
        height, width, _ = photo.pixels.shape
        with self._pixels.hold(height * width):
            stop()
            correction = correct_photo(
                photo, self.model, settings, progress=stop
            )
        status = CORRECTED if correction.changed else UNCHANGED
        self._metrics.tell_photo(status, height * width)
        return correction
