"""Exercises that are answered by a letter."""

from __future__ import annotations

from diffkit.lesson.exercises.exercise import Choice, Exercise

CONCEPTUAL = (
    Exercise(
        1,
        "Which way for one knob?",
        "A program has a single input and thousands of outputs. You need the "
        "derivative of every output with respect to that input. What costs least?",
        "Reverse mode gives one row of the Jacobian for each pass, forward mode one "
        "column.",
        Choice(
            (
                "reverse mode, once",
                "forward mode, once",
                "reverse mode, once for each output",
                "the written-out formula",
            ),
            1,
            "With one input the Jacobian has one column, and forward mode gives a "
            "column in one pass.",
        ),
    ),
    Exercise(
        2,
        "The smaller the better?",
        "You shrink the step of a central difference further and further. What happens "
        "to the error of the derivative?",
        "Two numbers that are nearly equal are subtracted, and both were rounded.",
        Choice(
            (
                "It falls for ever.",
                "It falls, and then stays where it is.",
                "It falls, and then rises again.",
            ),
            2,
            "Truncation falls with the step, but the rounding of the two values is "
            "divided by it.",
        ),
    ),
    Exercise(
        3,
        "Find the bug: a growing gradient",
        "A training loop calls `backward()` at every step, and `backward()` adds into "
        "a buffer. The first step is right. From the second on the steps are too long, "
        "and they grow. What is missing?",
        "What stands in the buffer before the second call?",
        Choice(
            (
                "a smaller learning rate",
                "zeroing the buffer before each backward pass",
                "shuffling the rows",
                "a larger batch",
            ),
            1,
            "Without zeroing, the buffer holds the sum of all gradients so far.",
        ),
    ),
    Exercise(
        4,
        "Why the formula explodes",
        "Written out, the derivative of a deep network is astronomically long. Reverse "
        "mode computes the same derivative in a few passes. What makes the difference?",
        "How often does the written formula spell out the first layer?",
        Choice(
            (
                "Reverse mode drops small terms.",
                "Reverse mode uses another rule of calculus.",
                "Reverse mode computes each intermediate once and reuses it.",
                "Compilers are better at loops.",
            ),
            2,
            "It is the same chain rule. What is kept is the sharing: a value that many "
            "paths use is computed once.",
        ),
    ),
    Exercise(
        5,
        "A network of equals",
        "All weights of a network start at the same number. After training, what do "
        "the units of one hidden layer have in common?",
        "Which derivative does each of them get?",
        Choice(
            (
                "Nothing: noise drives them apart.",
                "They are all still equal to each other.",
                "They are all zero.",
            ),
            1,
            "Equal units get equal gradients, so that they stay equal: the layer is as "
            "good as one unit.",
        ),
    ),
    Exercise(
        6,
        "Two curves that part",
        "The training loss goes on falling, and the validation loss has begun to rise. "
        "Which parameters do you keep?",
        "Which of the two rows was the network allowed to learn by heart?",
        Choice(
            (
                "those of the last epoch: their training loss is lowest",
                "those of the epoch with the lowest validation loss",
                "those of the first epoch",
            ),
            1,
            "From there on it learns its training rows by heart. Early stopping keeps "
            "that epoch.",
        ),
    ),
)
