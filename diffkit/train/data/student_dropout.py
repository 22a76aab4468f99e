"""Made-up students, whose risk of dropping out is a joint one.

Absence alone and falling grades alone do little harm; together they do, and the more so
the less support the advisor's feedback reports. No straight boundary describes that.
The numbers are invented for teaching and say nothing about any real student.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from diffkit.errors import ShapeError
from diffkit.train.data.dataset import Dataset, assemble
from diffkit.train.data.synthetic import Rng, check_rows

FEATURES = ("absence", "grade_change", "advisor_feedback")


def student_dropout(
    n: int = 4000,
    *,
    test: float = 0.25,
    validation: float = 0.0,
    standardized: bool = True,
    rng: Rng = 0,
    dtype: Any = np.float64,
) -> Dataset:
    """Students by absence, change of grades and advisor feedback: stay 0, drop out 1.

    Absence is a share of lessons in 0 … 0.6, grade_change in points from −1.5 to 1.5
    and advisor_feedback from −1 (concern) to 1 (support), all drawn evenly and
    independently. Each student drops out with the probability `dropout_risk` gives.
    Synthetic, and labelled so.

    >>> students = student_dropout()
    >>> students.train[0].shape, students.synthetic, students.classes
    ((3000, 3), True, ('stays', 'drops out'))
    """
    check_rows(n)
    rng = np.random.default_rng(rng)
    low, high = np.array([0.0, -1.5, -1.0]), np.array([0.6, 1.5, 1.0])
    x = rng.uniform(low, high, size=(n, 3))
    y = (rng.random(n) < dropout_risk(x)).astype(np.int64)
    return assemble(
        "student_dropout",
        x,
        y,
        features=FEATURES,
        classes=("stays", "drops out"),
        test=test,
        validation=validation,
        standardized=standardized,
        rng=rng,
        dtype=dtype,
        source="synthetic: invented for teaching, from no real student",
        synthetic=True,
        target="dropout",
    )


def dropout_risk(x: np.ndarray) -> np.ndarray:
    """The probability that each made-up student drops out: what a model should find.

    σ(−1.5 + 4·m·d·(1 − f)): lessons missed m = absence/0.6, decline of the grades
    d = −grade_change/1.5, feedback f. Missing lessons weighs on those whose grades
    fall, and the more so the less support there is; where grades rise, absence is that
    of students with little left to learn. Columns as drawn, not standardised; the
    result has shape (rows,).

    Raises ShapeError unless x has three columns.
    """
    if x.ndim != 2 or x.shape[1] != 3:
        raise ShapeError(
            f"x has shape {x.shape}; it needs the three columns {', '.join(FEATURES)}."
        )
    absence, change, feedback = x.T
    missed, decline = absence / 0.6, -change / 1.5
    z = -1.5 + 4.0 * missed * decline * (1.0 - feedback)
    return 1 / (1 + np.exp(-z))
