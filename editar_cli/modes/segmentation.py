"""Regions of similar colour, found without a network: a stand-in for semantic segmentation.

Classes are not known, so a region's colour says where it lies and how large it is, not what it
is: regions are numbered by area and take fixed, well separated colours.
"""

import numpy as np
from numpy.typing import NDArray

PROMPT = "Given the segmentation mask, generate an image following the description: "


def region_map(image: NDArray[np.uint8], regions: int = 6) -> NDArray[np.uint8]:
    """HWC uint8 RGB -> HWC uint8 map of at most ``regions`` flat colours.

    Pixels are clustered by Lab colour and height in the picture (k-means from a fixed start), so
    that a blue sky and blue water part; the largest cluster takes the first colour.
    """
    import cv2

    height, width = image.shape[:2]
    scale = 64 / max(height, width)
    small_size = (max(1, round(width * scale)), max(1, round(height * scale)))
    smooth = np.asarray(cv2.medianBlur(image, 5), np.uint8)
    small = np.asarray(cv2.resize(smooth, small_size, interpolation=cv2.INTER_AREA), np.uint8)

    def features(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        rows = np.linspace(0, 60, pixels.shape[0], dtype=np.float32)[:, None, None]
        lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB).astype(np.float32)
        full = np.concatenate([lab, np.broadcast_to(rows, (*pixels.shape[:2], 1))], axis=2)
        return full.reshape(-1, 4).astype(np.float32)

    points = features(small)
    # Start from evenly spaced ranks of lightness: no random draw, so the map is a function of
    # the picture.
    ranks = np.argsort(points[:, 0], kind="stable")
    centres = points[ranks[np.linspace(0, len(ranks) - 1, regions).astype(int)]]
    for _ in range(8):
        nearest = closest(points, centres)
        for k in range(regions):
            if (nearest == k).any():
                centres[k] = points[nearest == k].mean(0)
    labels = closest(features(smooth), centres).reshape(height, width)
    labels = np.asarray(cv2.medianBlur(labels.astype(np.uint8), 5), np.intp)
    order = np.argsort(-np.bincount(labels.ravel(), minlength=regions), kind="stable")
    colours = np.zeros((regions, 3), np.uint8)
    colours[order] = palette(regions)
    return colours[labels]


def closest(points: NDArray[np.float32], centres: NDArray[np.float32]) -> NDArray[np.intp]:
    """(N, C) points, (K, C) centres -> (N,) index of the nearest centre."""
    # |p - c|^2 without the part that is the same for every centre
    return np.asarray(((centres**2).sum(1) - 2 * points @ centres.T).argmin(1))


def palette(count: int) -> NDArray[np.uint8]:
    """(count, 3) uint8 RGB colours, far apart in hue and lightness, always the same."""
    golden = 0.61803398875
    hue = (np.arange(count) * golden) % 1.0
    value = np.where(np.arange(count) % 2 == 0, 230.0, 140.0)[:, None]
    phase = np.abs(hue[:, None] * 6 - np.array([3.0, 2.0, 4.0]))
    rgb = np.clip(phase - 1, 0, 1)
    rgb[:, 1:] = np.clip(2 - phase[:, 1:], 0, 1)
    return np.asarray((0.15 + 0.85 * rgb) * value, np.uint8)
