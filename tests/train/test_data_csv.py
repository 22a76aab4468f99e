"""CSV files: what is read exactly, and what is refused, by line and name."""

import numpy as np
import pandas as pd
import pytest

from diffkit.errors import UserInputError
from diffkit.train import data

GOOD = "a,b,y\n1,2.5,yes\n3,4,no\n5,6,yes\n7,8,no\n9,10,yes\n"


@pytest.fixture
def write(tmp_path):
    def write(text, name="file.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_text_targets_are_classes_in_sorted_order(write):
    found = data.from_csv(write(GOOD), "y", test=0.0, standardized=False)
    assert found.classes == ("no", "yes")
    assert found.features == ("a", "b")
    assert found.name == "file"
    assert found.target == "y"
    rows = {
        (*x, int(y)) for x, y in zip(*(p.tolist() for p in found.train), strict=True)
    }
    assert rows == {(1, 2.5, 1), (3, 4, 0), (5, 6, 1), (7, 8, 0), (9, 10, 1)}


def test_numbers_come_back_to_the_last_bit(write, rng):
    x = rng.normal(size=(500, 3)) * 10.0 ** rng.integers(-200, 200, size=(500, 3))
    path = write("")
    pd.DataFrame(x, columns=["a", "b", "c"]).to_csv(path, index=False)
    found = data.from_csv(path, "c", test=0.0, standardized=False)
    assert found.classes == ()
    assert sorted(found.train[0][:, 0]) == sorted(x[:, 0])
    assert sorted(found.train[1][:, 0]) == sorted(x[:, 2])


def test_pandas_reads_the_same(write):
    text = '\ufeff"a b", c ,y\r\n"1",  2 ,0\r\n\r\n3,"4",1\r\n'
    path = write(text)
    found = data.from_csv(path, "y", test=0.0, standardized=False)
    theirs = pd.read_csv(path, skipinitialspace=True).rename(columns=str.strip)
    assert found.features == tuple(theirs.columns[:2]) == ("a b", "c")
    order = np.argsort(found.train[0][:, 0])
    np.testing.assert_array_equal(found.train[0][order], theirs[["a b", "c"]])


@pytest.mark.parametrize(
    "values, task, classes",
    [
        (["0", "1", "1", "0"], "auto", ("0", "1")),
        (["1", "1.0", "2", "2.0"], "auto", ("1", "2")),
        (["3", "10", "3", "10"], "auto", ("3", "10")),
        (["0.5", "1.5", "0.5", "1.5"], "auto", ()),
        (["1", "2", "3", "4"], "auto", ()),
        (["1", "2", "3", "4"], "classes", ("1", "2", "3", "4")),
        (["0", "1", "1", "0"], "numbers", ()),
        (["True", "False", "True", "False"], "auto", ("False", "True")),
    ],
)
def test_classes_and_numbers_are_told_apart(write, values, task, classes):
    text = "x,y\n" + "".join(f"{i},{value}\n" for i, value in enumerate(values))
    found = data.from_csv(write(text), "y", task=task, test=0.0)
    assert found.classes == classes


def test_gaps_are_counted_and_named_by_line_and_column(write):
    text = "a,b,y\n1,,0\n2,3,1\nNA,4,0\n5,6,\n7,inf,1\n8,9,0\n10,11,1\n"
    path = write(text)
    with pytest.raises(
        UserInputError,
        match=r"^4 of 7 rows .* lines 2, 4, 5, 6, in a \(1\), b \(2\), y \(1\)\..*drop",
    ):
        data.from_csv(path, "y")
    found = data.from_csv(path, "y", missing="drop", test=0.0, standardized=False)
    assert sorted(found.train[0][:, 0].tolist()) == [2, 8, 10]


def test_many_gaps_are_not_all_listed(write):
    text = "a,y\n" + "".join(f"{'' if i < 9 else i},{i % 2}\n" for i in range(30))
    with pytest.raises(UserInputError, match=r"lines 2, 3, 4, 5, 6, …, in a \(9\)"):
        data.from_csv(write(text), "y")


def test_lines_are_those_of_the_file_whatever_is_quoted_in_it(write):
    text = 'a,note,y\n1,"two\nlines",0\n\n2,x,1\n,y,0\n'
    with pytest.raises(UserInputError, match="line 6, in a"):
        data.from_csv(write(text), "y", ignore=["note"])


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("a,b,y\n", "a header and no rows"),
        ("a,b,a,y\n1,2,3,0\n", r"names 'a' more than once"),
        ("a,,y\n1,2,0\n", "Column 2 of .* has no name"),
        ("1,2,0\n3,4,1\n", "holds numbers only, 1, 2, 0"),
        ("a;b;y\n1;2;0\n", "separated by ';'"),
        ("a,y\n1,0\n2,1,9\n3\n", r"line 3 has 3 fields and the header has 2 \(2 of 3"),
        ("a,y\n1,0,\n2,1,\n", "line 2 has 3 fields"),
        ('a,y\n"1,0\n2,1\n', "Quotes must be closed"),
        ("a,b,y\n1,x,0\n2,3,1\n", r"'b' of .* text .* 'x' in line 2 \(1 of 2 rows\)"),
        ("a,b,y\nu,x,0\nv,z,1\n", "So do b"),
        ("a,y\n1,0\n2,0\n", "one class only, '0', in all 2 rows"),
        ("a,y\n1,yes\n2,yes\n3,yes\n", "one class only, 'yes'"),
        ("a,y\n1,u\n2,v\n3,w\n4,z\n", "text with 4 different values in 4 rows"),
        ("a,y\n1,1.5\n2,3\n3,?x\n4,7\n", r"in 1: '\?x' in line 4"),
        ("a,y\n,1\n,0\n", "2 of 2 rows"),
        ("y\n1\n0\n", "no column left to learn from"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(write, text, said):
    with pytest.raises(UserInputError, match=said):
        data.from_csv(write(text), "y")


def test_a_target_that_is_not_there_suggests_the_nearest(write):
    path = write(GOOD.replace(",y\n", ",outcome\n"))
    with pytest.raises(
        UserInputError, match=r"no target column 'outcom'\. Did you mean 'outcome'"
    ):
        data.from_csv(path, "outcom")
    with pytest.raises(UserInputError, match="column to ignore 'c'"):
        data.from_csv(path, "outcome", ignore=["c"])


def test_text_is_never_a_number_to_predict(write):
    with pytest.raises(UserInputError, match="is text, 'yes' in line 2"):
        data.from_csv(write(GOOD), "y", task="numbers")


def test_nothing_left_after_dropping_is_refused(write):
    with pytest.raises(UserInputError, match="Every one of the 2 rows"):
        data.from_csv(write("a,y\n,1\n,0\n"), "y", missing="drop")


def test_files_that_are_not_there_or_no_text(write, tmp_path):
    path = write(GOOD, "students.csv")
    with pytest.raises(UserInputError, match=r"no file .*Did you mean .*students\.csv"):
        data.from_csv(path.with_name("student.csv"), "y")
    with pytest.raises(UserInputError, match=r"no folder .*nowhere either"):
        data.from_csv(tmp_path / "nowhere" / "a.csv", "y")
    with pytest.raises(UserInputError, match="is a folder"):
        data.from_csv(tmp_path, "y")
    with pytest.raises(UserInputError, match=r"not UTF-8 text \(byte 2\)"):
        data.from_csv(write(b"PK\xff\xfe", "sheet.csv"), "y")
    with pytest.raises(UserInputError, match="one character"):
        data.from_csv(path, "y", separator="::")


def test_options_that_do_not_exist_are_refused(write):
    with pytest.raises(UserInputError, match="auto, classes or numbers"):
        data.from_csv(write(GOOD), "y", task="guess")
    with pytest.raises(UserInputError, match="refuse or drop"):
        data.from_csv(write(GOOD), "y", missing="fill")


def test_scaling_is_that_of_the_training_rows(write, rng):
    frame = pd.DataFrame(rng.normal(5, 3, size=(60, 2)), columns=["a", "y"])
    path = write("")
    frame.to_csv(path, index=False)
    found = data.from_csv(path, "y", rng=3, validation=0.25)
    (x, y), raw = (
        found.train,
        data.from_csv(path, "y", rng=3, validation=0.25, standardized=False),
    )
    np.testing.assert_allclose(x.mean(), 0, atol=1e-14)
    np.testing.assert_allclose(y.std(), 1, rtol=1e-14)
    np.testing.assert_allclose(
        found.test[1] * found.target_scale + found.target_mean, raw.test[1], rtol=1e-13
    )
