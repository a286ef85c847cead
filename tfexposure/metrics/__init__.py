"""Metrics: a plain function and a `keras.metrics.Metric` for each.

They run on every Keras backend. Photos are float (N, H, W, 3),
display-encoded RGB in [0, 1]. `colour` and `brightness` hold what is only
reported: plain functions of NumPy arrays.
"""

from tfexposure.metrics.brightness import (
    psnr_best_gain,
    psnr_same_mean,
    white_difference,
)
from tfexposure.metrics.colour import chroma_difference, ciede2000, lab
from tfexposure.metrics.fidelity import (
    PSNR,
    PSNR_CAP,
    SSIM,
    MeanL1,
    clipped_region,
    decibels,
    mean_l1,
    psnr,
    ssim,
)
from tfexposure.metrics.histogram import (
    FEATURES,
    PROTOCOLS,
    HistogramSimilarity,
    draw_patches,
    exposure_features,
    histogram_similarity,
    split_half_similarity,
)
from tfexposure.metrics.inception import InceptionScore, inception_score

__all__ = [
    "FEATURES",
    "PROTOCOLS",
    "PSNR",
    "PSNR_CAP",
    "SSIM",
    "HistogramSimilarity",
    "InceptionScore",
    "MeanL1",
    "chroma_difference",
    "ciede2000",
    "clipped_region",
    "decibels",
    "draw_patches",
    "exposure_features",
    "histogram_similarity",
    "inception_score",
    "lab",
    "mean_l1",
    "psnr",
    "psnr_best_gain",
    "psnr_same_mean",
    "split_half_similarity",
    "ssim",
    "white_difference",
]
