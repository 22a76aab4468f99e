import warnings
from importlib import import_module
from math import cos, inf, nan, pi
from typing import Any, cast

import numpy as np
import pytest

from diffkit import optim
from diffkit.errors import UserInputError
from diffkit.optim import schedules

STEPS = 200


def by_hand(k):
    """Each schedule at step k, as its source writes it; α = 0.05."""
    half = pi * k / 150
    up, down = k / 20, (k - 20) / 180
    low, top = 0.05 / 25, 0.3 * 200 - 1
    rise, fall = k / top, (k - top) / (199 - top)
    last = low / 1e4
    return {
        "constant": 0.05,
        "step": 0.05 * 0.3 ** (k // 30),
        "cosine": 0.001 + 0.049 * (1 + cos(half)) / 2 if k < 150 else 0.001,
        "warmup_cosine": 0.05 * (0.1 + 0.9 * up)
        if k < 20
        else 0.05 * (1 + cos(pi * down)) / 2,
        "warmup_linear": 0.05 * (0.1 + 0.9 * up) if k < 20 else 0.05 * (1 - 0.9 * down),
        "one_cycle": low + (0.05 - low) * (1 - cos(pi * rise)) / 2
        if k <= top
        else last + (0.05 - last) * (1 + cos(pi * fall)) / 2,
    }


SCHEDULES = {
    "constant": schedules.Constant(0.05),
    "step": schedules.Step(0.05, every=30, factor=0.3),
    "cosine": schedules.Cosine(0.05, steps=150, final=0.001),
    "warmup_cosine": schedules.WarmupCosine(0.05, 20, STEPS, start=0.1),
    "warmup_linear": schedules.WarmupLinear(0.05, 20, STEPS, start=0.1, final=0.005),
    "one_cycle": schedules.OneCycle(0.05, STEPS),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_rate_is_the_formula(name):
    expected = [by_hand(k)[name] for k in range(STEPS)]
    found = [SCHEDULES[name](k) for k in range(STEPS)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("name", [n for n in SCHEDULES if n != "step"])
def test_what_is_reached_at_the_end_is_kept(name):
    schedule = SCHEDULES[name]
    assert {schedule(k) for k in range(STEPS, STEPS + 50)} == {schedule(10**6)}
    assert schedule(10**6) == pytest.approx(schedule(STEPS), abs=1e-15)


def theirs(torch, name):
    """PyTorch's rates: what its scheduler says after k calls of step()."""
    leaf = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([leaf], lr=0.05)
    made = torch.optim.lr_scheduler
    warm = made.LinearLR(optimizer, 0.1, total_iters=20) if "warmup" in name else None
    make = {
        "constant": lambda: made.ConstantLR(optimizer, 1.0),
        "step": lambda: made.StepLR(optimizer, 30, 0.3),
        "cosine": lambda: made.CosineAnnealingLR(optimizer, 150, 0.001),
        "warmup_cosine": lambda: made.SequentialLR(
            optimizer, [warm, made.CosineAnnealingLR(optimizer, 180)], [20]
        ),
        "warmup_linear": lambda: made.SequentialLR(
            optimizer, [warm, made.LinearLR(optimizer, 1.0, 0.1, 180)], [20]
        ),
        "one_cycle": lambda: made.OneCycleLR(
            optimizer, 0.05, STEPS, cycle_momentum=False
        ),
    }
    with warnings.catch_warnings():
        # SequentialLR calls its own parts by a form that PyTorch itself deprecates.
        warnings.simplefilter("ignore")
        scheduler = make[name]()
        for k in range(150 if name == "cosine" else STEPS):
            yield scheduler.get_last_lr()[0]
            optimizer.step()
            if k < STEPS - 1:
                scheduler.step()


@pytest.mark.peers
@pytest.mark.parametrize("name", SCHEDULES)
def test_200_rates_equal_pytorchs(name):
    expected = list(theirs(import_module("torch"), name))
    found = [SCHEDULES[name](k) for k in range(len(expected))]
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-15)


def test_an_optimizer_takes_the_rate_of_its_own_step(rng):
    schedule, gradients = SCHEDULES["one_cycle"], rng.normal(size=(60, 3))
    for make in (optim.sgd, optim.momentum, optim.nesterov, optim.adagrad, optim.adam):
        scheduled = make(schedule)
        state: Any = scheduled.init(np.zeros(3))
        for k, gradient in enumerate(gradients):
            # The same state under a constant rate: only the rate may differ.
            alone = make(schedule(k)).update(gradient, state, np.zeros(3))[0]
            updates, state = scheduled.update(gradient, state, np.zeros(3))
            np.testing.assert_array_equal(updates, alone)
        assert int(state.step) == 60


def test_names_show_the_schedule():
    assert str(optim.sgd(schedules.Constant(0.1))) == "sgd(0.1)"
    step = schedules.Step(0.1, 3)
    assert str(optim.adam(step)).startswith("adam(Step(rate=0.1, every=3, factor=0.1)")


@pytest.mark.parametrize(
    "build, said",
    [
        (lambda: schedules.Constant(0), "Constant: rate must be a positive number"),
        (lambda: schedules.Step(0.1, 0), "Step: every must be a positive integer"),
        (lambda: schedules.Step(0.1, cast(Any, 2.5)), "every must be a positive"),
        (lambda: schedules.Step(0.1, 3, -1), "Step: factor must be a positive"),
        (lambda: schedules.Cosine(0.1, 0), "Cosine: steps must be.*len.train.Batches"),
        (lambda: schedules.Cosine(0.1, 5, -1), "Cosine: final must be a number from 0"),
        (lambda: schedules.WarmupCosine(0.1, 5, 5), "leaves no step to come down"),
        (lambda: schedules.WarmupLinear(nan, 5, 9), "WarmupLinear: rate must be"),
        (lambda: schedules.OneCycle(inf, 9), "OneCycle: peak must be"),
        (lambda: schedules.OneCycle(0.1, 3), "leaves no step to rise in"),
        (
            lambda: optim.sgd(lambda k: -1.0).update(
                np.ones(1), optim.SgdState(np.array(4))
            ),
            "gave the rate -1.0 at step 4",
        ),
    ],
)
def test_schedules_are_checked(build, said):
    with pytest.raises(UserInputError, match=said):
        build()


def plateau_by_hand(losses, factor, patience, threshold, cooldown, smallest):
    scale, best, bad, cooling = 1.0, inf, 0, 0
    for loss in losses:
        if loss < best * (1 - threshold):
            best, bad = loss, 0
        else:
            bad += 1
        if cooling:
            cooling, bad = cooling - 1, 0
        if bad > patience:
            scale, bad, cooling = max(scale * factor, smallest), 0, cooldown
        yield scale


PLATEAU = {"factor": 0.3, "patience": 3, "threshold": 0.01, "cooldown": 2}


def noisy_losses(rng):
    return 1 / (1 + 0.1 * np.arange(STEPS)) + 0.1 * rng.random(STEPS)


def test_a_plateau_is_found_as_the_recurrence_says(rng):
    losses = [*noisy_losses(rng), nan, nan, nan, nan]
    transform = optim.reduce_on_plateau(**PLATEAU, smallest=0.01)
    observe, state, found = transform.observe, transform.init(np.ones(1)), []
    assert observe is not None
    for loss in losses:
        state = observe(state, loss)
        found.append(transform.update(np.ones(1), state)[0].item())
    assert found == list(plateau_by_hand(losses, **PLATEAU, smallest=0.01))
    assert found[-1] == 0.01


@pytest.mark.peers
def test_200_plateau_rates_equal_pytorchs(rng):
    torch = import_module("torch")
    leaf = torch.ones(1, requires_grad=True)
    other = torch.optim.SGD([leaf], lr=0.05)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        other, **PLATEAU, min_lr=0.05 * 0.01, eps=0
    )
    ours = optim.chain(
        optim.sgd(0.05), optim.reduce_on_plateau(**PLATEAU, smallest=0.01)
    )
    observe, state = ours.observe, ours.init(np.ones(1))
    assert observe is not None
    for loss in noisy_losses(rng):
        other.step()
        scheduler.step(loss)
        state = observe(state, loss)
        update = ours.update(np.ones(1), state)[0].item()
        assert -update == pytest.approx(scheduler.get_last_lr()[0], rel=1e-10)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"factor": 1.0}, "factor must be at least 0 and below 1"),
        ({"patience": -1}, "patience must be a number of epochs"),
        ({"cooldown": 1.5}, "cooldown must be a number of epochs"),
        ({"threshold": -0.1}, "threshold"),
        ({"smallest": -1.0}, "smallest must be a number from 0"),
    ],
)
def test_plateau_options_are_checked(options, said):
    with pytest.raises(UserInputError, match=said):
        optim.reduce_on_plateau(**options)
