"""``diffkit profile``: what is printed, what is written, what is refused."""

import pandas as pd
import pytest

from diffkit import cli

LOSSES = """
import numpy as np

def mean_square(w, x):
    return np.mean((x @ w) ** 2)

EXAMPLE_ARGS = (np.ones(3), np.ones((4, 3)))
"""
SMALL = ("--sizes", "2,4,1", "--batch", "3", "--repeats", "1")


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def run(*words):
        code = cli.main(["profile", *map(str, words)])
        return code, *capsys.readouterr()

    return run


def lines(out):
    """Lines of the table, without the summary and the header."""
    return out.splitlines()[2:]


def test_a_network_is_shown_line_by_line(run):
    code, out, err = run(*SMALL)
    assert (code, err) == (0, "")
    summary, header, *body = out.splitlines()
    assert summary.startswith("2-4-1 tanh, mse, batch 3, seed 0, float64: a call takes")
    assert header.split()[:4] == ["op", "node", "direction", "shape"]
    (product,) = (line for line in body if "matmul(x, params" in line)
    assert "3×2 @ 2×4" in product
    assert "forward" in product
    assert str(3 * 4 * (2 * 2 - 1)) in product.split()
    assert body[-2].startswith("(between instructions)")
    assert body[-1].startswith("(around the program)")


def test_by_op_there_is_one_line_for_each_kernel(run):
    out = run(*SMALL, "--by", "op")[1]
    names = [line.split()[0] for line in lines(out)]
    assert len(names) == len(set(names))
    assert {"tanh", "tanh_pullback"} <= set(names)


def test_the_costliest_lines_only(run):
    assert len(lines(run(*SMALL, "--top", "3")[1])) == 3


def test_a_function_of_the_users(run, tmp_path):
    (tmp_path / "losses.py").write_text(LOSSES)
    code, out, err = run("losses.py:mean_square", "--repeats", "1")
    assert (code, err) == (0, "")
    assert "matmul(x, w)" in out
    both = run("losses.py:mean_square", "--repeats", "1", "--argnums", "0,1")[1]
    assert len(lines(both)) > len(lines(out))


def test_float32_and_every_column_in_a_file(run, tmp_path):
    code, out, _ = run(*SMALL, "--dtype", "float32", "--csv", "profile.csv")
    assert code == 0
    assert "float32" in out
    assert "profile.csv" in out
    frame = pd.read_csv(tmp_path / "profile.csv", index_col="line")
    assert list(frame.columns) == [
        "op",
        "node",
        "direction",
        "shape",
        "calls",
        "seconds",
        "flops",
        "bytes",
        "gflop_per_second",
        "gbyte_per_second",
        "share",
    ]
    assert frame["share"].sum() == pytest.approx(1.0)
    wide = run(*SMALL, "--csv", "wide.csv")[1]
    assert "float64" in wide
    doubled = pd.read_csv(tmp_path / "wide.csv")
    assert doubled["bytes"].sum() == 2 * frame["bytes"].sum()


@pytest.mark.parametrize(
    "words, says",
    [
        ((), "Name either a function"),
        (("losses.py:mean_square", *SMALL), "Name either a function"),
        (("--sizes", "2,x"), "does not list layer sizes"),
        (("nowhere.py:f",), "There is no file 'nowhere.py'"),
        ((*SMALL, "--repeats", "0"), "--repeats"),
        ((*SMALL, "--dtype", "float16"), "--dtype"),
        ((*SMALL, "--argnums", "w"), "does not list argument positions"),
        ((*SMALL, "--csv", "no/such/folder.csv"), "cannot be written to no/such"),
    ],
)
def test_bad_usage_is_one_line(run, words, says):
    code, _, err = run(*words)
    assert code == 2
    (line,) = err.splitlines()
    assert says in line
