"""How much of the input one output value sees, by formula."""


def receptive_field(layers):
    """Returns the receptive field of a chain of convolutions and poolings.

    Args:
        layers: list of (kernel size, stride) pairs, in order.

    Returns:
        int, side in pixels of the square of input that one value sees.
    """
    field, jump = 1, 1
    for kernel, stride in layers:
        field += (kernel - 1) * jump
        jump *= stride
    return field


def field_of_view(model):
    """Returns a network's field of view in pixels, as the paper counts it.

    For the generator it is that of the last feature map of the encoder, the
    only reading that gives the paper's 140; for the discriminator that of one
    logit.

    Args:
        model: `UNetGenerator` or `PatchDiscriminator`.

    Reference:
        Le Jeune, sections 3.1 and 4.3, Fig. 2.
    """
    return receptive_field(model.encoder_geometry())


def support_radius(generator):
    """Returns how far an output pixel of a `UNetGenerator` can see, in pixels.

    The decoder widens the support beyond the field of view.

    Args:
        generator: `UNetGenerator`.

    Returns:
        int, the largest distance between an output pixel and an input pixel
        that influences it.
    """
    return max(max(sides) for sides in _reaches(generator))


def tile_halo(generator):
    """Returns the margin that makes tiles reproduce the untiled picture.

    A tile whose kept part begins and ends at multiples of the network's
    stride needs this many pixels more on each side.

    Args:
        generator: `UNetGenerator`.

    Returns:
        int, pixels, a multiple of the network's stride.
    """
    stride = generator.stride
    margin = max(
        max(before - phase, after - (stride - 1 - phase))
        for phase, (before, after) in enumerate(_reaches(generator))
    )
    return -(-margin // stride) * stride


def _reaches(generator):
    """Lists, per phase of the stride, the reach (before, after) in pixels."""
    reaches = []
    for phase in range(generator.stride):
        # An interval of positions, followed backwards from one output pixel
        # that lies far enough from 0.
        position = 1024 * generator.stride + phase
        low = high = position
        for kind, kernel in reversed(generator.path_geometry()):
            if kind == "conv":
                low, high = low - kernel // 2, high + kernel // 2
            elif kind == "up":
                low, high = low // 2, high // 2
            else:  # "down": windows begin at even positions
                low, high = 2 * low, 2 * high + kernel - 1
        reaches.append((position - low, high - position))
    return reaches
