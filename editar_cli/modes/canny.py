"""Edges by Canny's detector, white on black."""

import numpy as np
from numpy.typing import NDArray

PROMPT = "Given the canny edge image, generate an image following the description: "


def canny_map(image: NDArray[np.uint8], low: float = 100, high: float = 200) -> NDArray[np.uint8]:
    """HWC uint8 RGB -> HWC uint8 edge map, white on black.

    The thresholds are on OpenCV's gradient magnitude, [0, 1020]; 100 and 200 are those of the
    ControlNet annotators.
    """
    import cv2

    return np.repeat(cv2.Canny(image, low, high)[..., None], 3, axis=2).astype(np.uint8)
