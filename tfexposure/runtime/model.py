"""A model that restores photos, whatever file it comes in."""

from tfexposure.runtime.coefficient_grid import (
    CoefficientGrid,
    Curve,
    GridSpec,
)
from tfexposure.runtime.thumbnails import make_thumbnail

# For models that carry no manifest: above the 102 pixels measured for the
# default U-Net from any pixel, and a multiple of its stride.
UNKNOWN_HALO = 112
STRIDE = 16


class Model:
    """Restores windows of a photo: NumPy arrays in and out.

    Images are float32 (H, W, 3), RGB, sRGB-encoded, in [0, 1].

    Attributes:
        halo: pixels around a window on which its inner pixels depend.
        stride: total stride of the network; windows start at its multiples.
        fixed_size: (height, width) of the only input size, or `None`.
        thumbnail: side in pixels of the small copy of the whole photo that
            the network takes beside each window, or `None`.
        thumbnail_channels: 3, or 9 for one with the share of clipped pixels
            and with samples.
        exact_tiles: `False` for a network whose answer anywhere depends on
            the whole window, so that tiles do not join.
        grid_spec: `coefficient_grid.GridSpec`, if `encode_photo` and
            `affine_coefficients` can be called, or `None`.
    """

    halo = UNKNOWN_HALO
    stride = STRIDE
    fixed_size: tuple[int, int] | None = None
    thumbnail: int | None = None
    thumbnail_channels = 3
    exact_tiles = True
    grid_spec: GridSpec | None = None

    @property
    def judges(self):
        """Whether the model decides by itself what it leaves alone.

        `correct` can then be called.
        """
        return False

    @property
    def thumbnail_shape(self):
        """(T, T, channels) of the thumbnail, or `None`."""
        if not self.thumbnail:
            return None
        return (self.thumbnail, self.thumbnail, self.thumbnail_channels)

    def restore(self, image, thumbnail=None):
        """Restores a window; the same shape comes back.

        Args:
            image: float32 (h, w, 3) in [0, 1], any size if `fixed_size` is
                `None`.
            thumbnail: float32 `thumbnail_shape` of the whole photo, as
                `thumbnails.make_thumbnail` makes it, if the network takes
                one.
        """
        raise NotImplementedError

    def restore_by_grid(self, image, thumbnail):
        """Does what `restore` does by the coefficients of the window.

        For models that answer `encode_photo` and `affine_coefficients` alone.
        """
        answer, exposure = self.answer_by_grid(image, thumbnail)
        return image + exposure[0] * (answer - image)

    def answer_by_grid(self, image, thumbnail):
        """Answers a window by its coefficients, mixed in by no share.

        Returns:
            float32 (h, w, 3) in [0, 1], and the exposure of `encode_photo`.
        """
        slopes, embedding, exposure = self.encode_photo(thumbnail)
        found = self.affine_coefficients(image, slopes, embedding)
        return _applied(self.grid_spec, slopes, found, image), exposure

    def restore_photo(self, image):
        """Restores a whole photo in one window, float32 (H, W, 3)."""
        return self.restore(image, self.thumbnail_of(image))

    def thumbnail_of(self, image):
        """Makes the thumbnail of a whole photo; None if none is taken."""
        if not self.thumbnail:
            return None
        height, width = image.shape[:2]
        return make_thumbnail([(0, image)], height, width, self)

    def for_file(self, contents, shape):
        """Takes note of the file of a photo that comes next.

        Args:
            contents: bytes of a JPEG or PNG that every decoder makes the
                photo's pixels of, upright and in sRGB; or `None`.
            shape: (H, W, channels) of these.

        Returns:
            a `Model`, for this photo alone; this one, if files do not matter.
        """
        return self

    def correct(self, image, ev=0.0, stops=None, force=False):
        """Corrects a whole photo, or leaves it alone.

        Args:
            image: float32 (H, W, 3) in [0, 1].
            ev: stops of light added to the answer.
            stops: how far the photo is overexposed; `None` lets the model
                judge.
            force: whether to correct what would be left alone, too.

        Returns:
            float32 (H, W, 3) in [0, 1]; `None` if it is left alone.
        """
        raise NotImplementedError

    def share(self, calls):
        """Tells the model that so many calls will come at the same time."""

    def encode_photo(self, thumbnail):
        """Encodes a whole photo, seen as its thumbnail.

        Returns:
            float32 slopes of its tone curve (pieces,); embedding (n,); and
            exposure (3,): the share of the answer that the photo needs, in
            [0, 1], 0 leaves it alone; by how many stops it is overexposed; and
            their standard deviation, for how sure that is.
        """
        raise NotImplementedError

    def affine_coefficients(self, image, slopes, embedding):
        """Answers a whole photo at reduced size.

        Args:
            image: float32 (h, w, 3) in [0, 1], of few pixels.
            slopes: float32 (pieces,), of the curve to be applied.
            embedding: of `encode_photo`.

        Returns:
            float32 (h', w', 13); see `coefficient_grid.CoefficientGrid`.
        """
        raise NotImplementedError


def _applied(spec, slopes, coefficients, image):
    grid = CoefficientGrid(Curve(spec.knots, slopes), spec, coefficients, 1)
    return grid.apply(0, image)
