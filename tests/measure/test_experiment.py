"""Finding experiments, and what is said when one is missing or broken."""

import dataclasses

import pytest

from diffkit.errors import ExperimentError, UnknownNameError, UserInputError
from diffkit.measure.experiment import discover, load_experiment, project_root
from diffkit.measure.user_code import load_attribute
from tests.measure.tiny import write_project


def test_experiments_are_found_upwards_and_helpers_are_not(tmp_path):
    write_project(tmp_path, ["ok"])
    (tmp_path / "experiments" / "_helper.py").write_text("X = 1")
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert project_root(below) == tmp_path
    registry = discover(project_root(below))
    assert list(registry) == ["tiny"]
    assert len(registry) == 1
    assert registry["tiny"].experiment.question == "Does work grow with size?"


def test_an_unknown_experiment_suggests_the_nearest(tmp_path):
    write_project(tmp_path, ["ok"])
    with pytest.raises(UnknownNameError, match="Did you mean 'tiny'"):
        discover(tmp_path)["tinny"]


def test_a_folder_without_experiments_says_so(tmp_path):
    with pytest.raises(ExperimentError, match="no experiment in"):
        discover(tmp_path)


@pytest.mark.parametrize(
    "text, said",
    [
        ("x = 1", "does not define EXPERIMENT"),
        ("EXPERIMENT = 3", "does not define EXPERIMENT"),
        ("x = 1\nx.y\n", "broken.py:2 cannot be loaded: AttributeError"),
        ("def f(:\n", "broken.py:1 cannot be loaded: SyntaxError"),
        ("import no_such_package", "No module named 'no_such_package'"),
    ],
)
def test_a_broken_experiment_is_named_with_its_line(tmp_path, text, said):
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises(ExperimentError, match=r"broken\.py") as caught:
        load_experiment(path)
    assert said in str(caught.value)


def test_file_and_experiment_have_one_name(tmp_path):
    path = write_project(tmp_path, ["ok"])
    renamed = path.rename(path.with_name("other.py"))
    with pytest.raises(ExperimentError, match="one name"):
        load_experiment(renamed)


@pytest.mark.parametrize(
    "change, said",
    [
        ({"name": "Two Words"}, "cannot name an experiment"),
        ({"question": "It grows."}, "question mark"),
        ({"claims": ("claim one",)}, "claims are C1"),
    ],
)
def test_an_experiment_cannot_be_built_wrong(tmp_path, change, said):
    good = load_experiment(write_project(tmp_path, ["ok"])).experiment
    with pytest.raises(ExperimentError, match=said):
        dataclasses.replace(good, **change)


@pytest.mark.parametrize(
    "target, said",
    [
        ("math", "write module:function"),
        (":f", "write module:function"),
        ("no_such_module_here:f", "no module named 'no_such_module_here'"),
        ("math.no_such:f", "'math.no_such'"),
        ("math:hypott", "Did you mean 'hypot'"),
        ("no/such/file.py:f", "no file"),
    ],
)
def test_a_function_that_cannot_be_found_is_named(target, said):
    with pytest.raises(UserInputError, match=r".") as caught:
        load_attribute(target)
    assert said in str(caught.value)


def test_a_function_in_a_file_is_found(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def double(x):\n    return 2 * x\n")
    _, function = load_attribute(f"{path}:double")
    assert function(4) == 8
