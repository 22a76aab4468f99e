import json
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from diffkit import nn
from diffkit.errors import UserInputError
from diffkit.graph import trace


def everything():
    return nn.Sequential(
        nn.Linear(3, 4),
        nn.BatchNorm(4),
        nn.ReLU(),
        nn.Residual(nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.4), nn.LayerNorm(4))),
        nn.Residual(nn.Tanh()),
        nn.Linear(4, 2),
        nn.Softmax(),
    )


NETWORKS = [nn.mlp((4, 16, 3)), nn.mlp((10, 64, 32, 1), "gelu"), everything()]


@pytest.mark.parametrize("net", NETWORKS, ids=str)
def test_the_layers_add_up_to_the_traced_program(net, rng):
    batch = 6
    summary = net.summary(batch)
    n = summary.rows[0].shape[1]
    args = net.init(rng), np.zeros((batch, n)), net.init_state(), net.masks(rng, batch)
    size = trace(lambda p, x, s, m: net.apply_training(p, x, s, m)[0], *args).size()
    assert (summary.operations, summary.flops) == (size.operations, size.flops)
    assert summary.parameters == net.parameter_count
    assert summary.rows[-1].shape == (batch, net.features(n))


def test_activation_bytes_are_what_the_reverse_pass_reads_by_hand():
    # Linear: its input, for the weight's gradient. Tanh: its output. The first product
    # and the last output are read by no rule of these layers.
    rows = nn.mlp((4, 16, 16, 3)).summary(batch=5).rows
    assert [row.activation_bytes for row in rows] == [
        5 * 4 * 8,  # input
        0,
        5 * 16 * 8,  # tanh
        0,
        5 * 16 * 8,
        0,
    ]
    # relu′ needs the sign of its input, which the layer before computed; the product
    # after it reads its output.
    rows = nn.mlp((4, 16, 3), "relu").summary(batch=5).rows
    assert [row.activation_bytes for row in rows] == [160, 640, 640, 0]
    # A mask is the dropout's own.
    rows = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5)).summary(batch=5).rows
    assert [row.activation_bytes for row in rows] == [160, 0, 320]


def test_activations_grow_with_the_batch_and_halve_in_float32():
    net = everything()
    one, ten = net.summary(batch=7), net.summary(batch=70)
    per_row = [
        (b.activation_bytes - a.activation_bytes) / 63
        for a, b in zip(one.rows, ten.rows, strict=True)
    ]
    assert all(n == int(n) for n in per_row)
    assert ten.parameters == one.parameters
    single = nn.mlp((4, 16, 3)).summary(7, dtype=np.float32)
    double = nn.mlp((4, 16, 3)).summary(7)
    assert 2 * single.activation_bytes == double.activation_bytes
    assert 2 * single.parameter_bytes == double.parameter_bytes == 8 * 131


def test_rows_name_inner_layers_by_path():
    rows = everything().summary(batch=3).rows
    assert [(row.path, row.layer) for row in rows[3:9]] == [
        ("2", "ReLU()"),
        ("3.0", "Linear(4, 4)"),
        ("3.1", "Dropout(0.4)"),
        ("3.2", "LayerNorm(4)"),
        ("3", "Residual: x + ..."),
        ("4", "Tanh()"),
    ]


def test_it_is_a_table_for_people_and_plain_data_for_programs():
    summary = nn.mlp((4, 16, 3)).summary(batch=(2, 5))
    console = Console(width=120, record=True, file=StringIO())
    console.print(summary)
    for text in (console.export_text(), str(summary)):
        assert "Linear(4, 16)" in text
        assert "(2, 5, 16)" in text
        assert "131" in text
    records = json.loads(json.dumps(summary.records()))
    assert records[1]["layer"] == "Linear(4, 16)"
    assert sum(record["parameters"] for record in records) == 131


@pytest.mark.parametrize(
    "call, said",
    [
        (lambda: nn.Sequential(nn.Tanh()).summary(3), "Say features=n"),
        (lambda: nn.mlp((2, 1)).summary(0), "positive number of rows"),
        (lambda: nn.mlp((2, 1)).summary(()), "positive number of rows"),
        (lambda: nn.mlp((2, 1)).summary(2.5), "positive number of rows"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_summed_up_is_refused(call, said):
    with pytest.raises(UserInputError, match=said):
        call()


def test_the_number_of_features_is_asked_of_the_layers():
    for net, n in [
        (nn.Sequential(nn.Tanh(), nn.Linear(3, 2)), 3),
        (nn.Sequential(nn.Residual(nn.Sequential(nn.Tanh(), nn.Linear(5, 5)))), 5),
        (nn.Sequential(nn.Dropout(0.1), nn.BatchNorm(6)), 6),
    ]:
        assert net.summary(batch=4).rows[0].shape == (4, n)
    assert nn.Sequential(nn.Tanh()).summary(2, features=7).flops == 14 * 22
