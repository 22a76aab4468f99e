"""Polylines of the page's drawings, read back into the places of their points."""

import re


def points(d: str) -> list[tuple[float, float]]:
    """The points of a path made of places (M) and of steps from them (l)."""
    found: list[tuple[float, float]] = []
    for letter, text in re.findall(r"([Ml])([^A-Za-z]+)", d):
        numbers = [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?", text)]
        for x, y in zip(numbers[::2], numbers[1::2], strict=True):
            dx, dy = found[-1] if letter == "l" else (0.0, 0.0)
            found.append((x + dx, y + dy))
    return found
