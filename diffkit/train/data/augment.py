"""Rows made from rows: noise, and pictures moved by a pixel.

Pure functions of the rows and a generator; nothing is modified.
"""

from __future__ import annotations

import numpy as np

from diffkit.errors import ShapeError, UserInputError


def with_noise(
    x: np.ndarray, rng: np.random.Generator, deviation: float = 0.1
) -> np.ndarray:
    """X plus independent normal noise: x + N(0, deviation²), in the precision of x.

    Raises UserInputError for a deviation that is negative or not finite.

    >>> with_noise(np.zeros((2, 3)), np.random.default_rng(0)).shape
    (2, 3)
    """
    if not (np.isfinite(deviation) and deviation >= 0):
        raise UserInputError(
            f"deviation must be a finite number from 0 and is {deviation!r}."
        )
    noise = rng.standard_normal(x.shape) * deviation
    return x + noise.astype(x.dtype, copy=False)


def with_shifts(
    x: np.ndarray,
    rng: np.random.Generator,
    pixels: int = 1,
    image: tuple[int, int] = (8, 8),
) -> np.ndarray:
    """Each row a picture of height × width, moved by up to `pixels` both ways.

    Both offsets are drawn evenly from −pixels … pixels for every row. What leaves the
    picture is lost and what enters is 0, which is no ink where pixels were scaled
    without centring.

    Raises ShapeError for rows that are not height × width long, UserInputError for a
    shift that is no whole number from 0 to less than the picture.

    >>> row = np.arange(1.0, 5.0)[None]  # 1 2 / 3 4
    >>> sorted(
    ...     {
    ...         tuple(with_shifts(row, np.random.default_rng(i), 1, (2, 2))[0].tolist())
    ...         for i in range(60)
    ...     }
    ... )[:3]
    [(0.0, 0.0, 0.0, 1.0), (0.0, 0.0, 1.0, 2.0), (0.0, 0.0, 2.0, 0.0)]
    """
    height, width = image
    if x.ndim != 2 or x.shape[1] != height * width:
        raise ShapeError(
            f"Rows of shape {x.shape[1:]} are no pictures of {height} × {width} = "
            f"{height * width} pixels."
        )
    if not isinstance(pixels, int) or not 0 <= pixels < min(height, width):
        raise UserInputError(
            f"pixels must be a whole number from 0 to {min(height, width) - 1} and is "
            f"{pixels!r}."
        )
    count = len(x)
    down, right = rng.integers(-pixels, pixels + 1, size=(2, count))
    margin = ((0, 0), (pixels, pixels), (pixels, pixels))
    padded = np.pad(x.reshape(count, height, width), margin)
    rows = np.arange(height) + pixels - down[:, None]
    columns = np.arange(width) + pixels - right[:, None]
    picked = padded[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None]]
    return picked.reshape(x.shape)
