"""Metrics: a plain function and a `keras.metrics.Metric` for each.

They run on every Keras backend. Photos are float (N, H, W, 3),
display-encoded RGB in [0, 1].
"""

from tfexposure.metrics.fidelity import (
    PSNR,
    SSIM,
    MeanL1,
    clipped_region,
    mean_l1,
    psnr,
    ssim,
)
from tfexposure.metrics.histogram import (
    FEATURES,
    HistogramSimilarity,
    exposure_features,
    histogram_similarity,
    split_half_similarity,
)
from tfexposure.metrics.inception import (
    InceptionScore,
    inception_score,
)

__all__ = [
    "FEATURES",
    "PSNR",
    "SSIM",
    "HistogramSimilarity",
    "InceptionScore",
    "MeanL1",
    "clipped_region",
    "exposure_features",
    "histogram_similarity",
    "inception_score",
    "mean_l1",
    "psnr",
    "split_half_similarity",
    "ssim",
]
