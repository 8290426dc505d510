"""Small scenes painted for the tests, and measures of pictures.

The scenes stand in for photographs: the same at every size but for sampling, with sky, ground,
texture and small lights, in known regions.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from editar_cli.synthesis import Photo

Values = npt.NDArray[np.float32]


def _grid(size: int) -> tuple[Values, Values]:
    centres = ((np.arange(size) + 0.5) / size).astype(np.float32)
    return np.meshgrid(centres, centres, indexing="ij")  # type: ignore[return-value]


def _texture(y: Values, x: Values) -> Values:
    waves = np.sin(41 * x + 9 * y) * np.sin(37 * y - 5 * x) + 0.5 * np.sin(73 * x) * np.sin(67 * y)
    return (waves / 1.5).astype(np.float32)


def _photo(picture: Values) -> Photo:
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)


def mountain(size: int) -> Photo:
    """A grey-brown peak on green land under a blue sky; sky above 0.35, land below 0.75."""
    y, x = _grid(size)
    sky = np.stack([0.35 + 0.3 * y, 0.55 + 0.25 * y, 0.85 + 0.05 * y], axis=-1)
    texture = _texture(y, x)[..., None]
    rock = np.float32([0.42, 0.36, 0.30]) * (1 + 0.35 * texture)
    grass = np.float32([0.25, 0.40, 0.14]) * (1 + 0.35 * texture)
    skyline = 0.40 + 0.5 * np.abs(x - 0.5)
    picture = np.where((y > skyline)[..., None], rock, sky)
    return _photo(np.where((y > 0.68)[..., None], grass, picture))


def field(size: int) -> Photo:
    """Green grass to the lower edge from 0.45 under a pale sky."""
    y, x = _grid(size)
    sky = np.broadcast_to(np.float32([0.70, 0.78, 0.88]), (size, size, 3))
    grass = np.float32([0.28, 0.45, 0.15]) * (1 + 0.4 * _texture(y, x)[..., None])
    return _photo(np.where((y > 0.45)[..., None], grass, sky))


def city(size: int) -> Photo:
    """Dark fronts with small bright warm windows below 0.4 under a dull sky."""
    y, x = _grid(size)
    sky = np.broadcast_to(np.float32([0.50, 0.56, 0.66]), (size, size, 3))
    fronts = np.float32([0.20, 0.19, 0.20]) * (1 + 0.2 * _texture(y, x)[..., None])
    fronts = np.where((np.floor(x * 7) % 2 == 0)[..., None], fronts, 0.7 * fronts)
    lit = window_mask(size)
    picture = np.where((y > 0.4)[..., None], fronts, sky)
    return _photo(np.where(lit[..., None], np.float32([1.0, 0.95, 0.85]), picture))


def coast(size: int) -> Photo:
    """A blue sea right of 0.3 and green land left of it under a pale sky above 0.35; a red ball."""
    y, x = _grid(size)
    sky = np.broadcast_to(np.float32([0.70, 0.78, 0.88]), (size, size, 3))
    texture = _texture(y, x)[..., None]
    sea = np.float32([0.10, 0.30, 0.52]) * (1 + 0.15 * texture)
    land = np.float32([0.25, 0.42, 0.14]) * (1 + 0.3 * texture)
    picture = np.where((y > 0.35)[..., None], np.where((x > 0.3)[..., None], sea, land), sky)
    return _photo(np.where(ball_mask(size)[..., None], np.float32([0.80, 0.10, 0.10]), picture))


def ball_mask(size: int) -> npt.NDArray[np.bool_]:
    """Where the ball of `coast` is."""
    y, x = _grid(size)
    return (x - 0.7) ** 2 + (y - 0.6) ** 2 < 0.12**2


def window_mask(size: int) -> npt.NDArray[np.bool_]:
    """Where the windows of `city` are."""
    y, x = _grid(size)
    row = np.abs((y * 8) % 1 - 0.5) < 0.12
    column = np.abs((x * 8) % 1 - 0.5) < 0.12
    return row & column & (y > 0.55)


def low_frequency(photo: Photo) -> Values:
    """Means over a 16 x 16 grid, float32 in 0 to 255; the side must be a multiple of 16."""
    cell = photo.shape[0] // 16
    cells = photo.astype(np.float32).reshape(16, cell, 16, cell, 3)
    return cells.mean(axis=(1, 3))


def light(photo: Photo) -> Values:
    """BT.709 luma, HW, 0 to 255."""
    return photo.astype(np.float32) @ np.float32([0.2126, 0.7152, 0.0722])


def chroma(photo: Photo) -> Values:
    """Largest less smallest channel, HW, 0 to 255."""
    return photo.max(axis=2).astype(np.float32) - photo.min(axis=2)


def means(photo: Photo) -> tuple[float, float, float]:
    """Mean red, green and blue."""
    red, green, blue = photo.reshape(-1, 3).mean(axis=0)
    return float(red), float(green), float(blue)


def edge_energy(photo: Photo) -> float:
    """Mean absolute luma step between neighbours."""
    luma = light(photo)
    return float(np.abs(np.diff(luma, axis=0)).mean() + np.abs(np.diff(luma, axis=1)).mean())
