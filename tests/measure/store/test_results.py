"""Questions to a store: exact answers, and nothing that a condition can do to it."""

import sqlite3

import pytest

from diffkit.errors import StoreError, UserInputError
from diffkit.measure.rows import case
from diffkit.measure.store import results
from diffkit.measure.store.condition import FUNCTIONS, checked
from diffkit.measure.store.results import (
    COLUMNS,
    find_results,
    list_runs,
    reading,
    stored_rows,
)
from diffkit.measure.store.run_store import RunStore

COMMITS = ("aaaa1111", "bbbb2222")


def measured(experiment, metric, value, commit="aaaa1111", **parameters):
    one = case(experiment, "autodiff", runtime="engine", **parameters)
    return (one.row(metric, value).stamped(commit=commit, machine="m", threads=1),)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Two runs: the second measured depth 1 again, by other code."""
    path = tmp_path_factory.mktemp("project") / "results.sqlite"
    first = RunStore(path, mode="quick", commit=COMMITS[0])
    for depth in (1, 2, 3):
        rows = measured("growth", "tree_operations", 7 ** (100 * depth), depth=depth)
        first.save(f"growth{depth}", rows)
    first.save("cost", measured("cost", "work_seconds", 0.5, **{"odd name": "it's"}))
    first.close()
    second = RunStore(path, mode="full", commit=COMMITS[1])
    again = measured("growth", "tree_operations", 11, COMMITS[1], depth=1)
    second.save("growth1 by other code", again)
    second.load("growth2")
    second.close()
    return path


def depths(found):
    return [record["parameters"].get("depth") for record in found.records]


def test_every_column_is_there_with_every_digit(path):
    (record,) = find_results(path, where="depth = 3").records
    assert set(record) == set(COLUMNS) - {"exact"}
    assert record["value"] == 7**300
    assert record["parameters"] == {"depth": 3}
    assert (record["commit"], record["machine"]) == ("aaaa1111", "m")
    assert (record["run"], record["mode"], record["threads"]) == (1, "quick", 1)
    assert record["started"] <= record["finished"]


@pytest.mark.parametrize(
    "where, found",
    [
        ("experiment='growth' and depth >= 2", [2, 3]),
        ("value > 1e100 AND depth < 3", [2]),
        ("exact like '%1'", [1, 2, 3]),
        ("\"commit\" = 'bbbb2222'", [1]),
        ("COMMIT like 'bbbb%' and commit > 'a'", [1]),
        ("depth in (1, 3)", [1, 3]),
        ("not (depth between 2 and 3) and depth is not null", [1]),
        ("json_extract(parameters, '$.depth') = 2", [2]),
        ("parameters ->> '$.depth' = 2", [2]),
        ("length(backend) = 8 and abs(depth - 2) = 1", [1, 3]),
        ("\"odd name\" = 'it''s'", [None]),
        ("mode = 'full'", [1]),
        ("case when depth = 2 then true else false end", [2]),
        ("depth > 100", []),
    ],
)
def test_a_condition_chooses_rows(path, where, found):
    assert sorted(depths(find_results(path, where=where)), key=str) == found


def test_the_newest_measurement_of_a_case_is_given_and_older_ones_are_counted(path):
    newest = find_results(path, experiment="growth")
    assert sorted(depths(newest)) == [1, 2, 3]
    assert (newest.total, newest.older) == (3, 1)
    every = find_results(path, experiment="growth", every_run=True)
    assert sorted(depths(every)) == [1, 1, 2, 3]
    assert [r["newest"] for r in every.records if r["parameters"]["depth"] == 1] == [
        False,
        True,
    ]


def test_the_rows_of_a_run_are_those_it_measured_and_took_over(path):
    assert depths(find_results(path, run=1, experiment="growth")) == [1, 2, 3]
    assert sorted(depths(find_results(path, run=2))) == [1, 2]


def test_limit_and_metric(path):
    found = find_results(path, metric="tree_operations", limit=2)
    assert (len(found.records), found.total) == (2, 3)
    assert find_results(path, limit=0).records == ()


@pytest.mark.parametrize(
    "where, said",
    [
        ("experimnt = 'growth'", "no column named 'experimnt'. Did you mean 'exper"),
        ("detph = 3", "Did you mean 'depth'?"),
        ("experiment = growth", "text goes in single quotes"),
        ('experiment = "growth"', "no column named 'growth'"),
        ("depth = 1; DROP TABLE cells", "';' cannot stand in it"),
        ("depth = 1 -- all", "contains a comment"),
        ("depth = 1 /* all */", "contains a comment"),
        ("1) OR (1", "closes a bracket"),
        ("(depth = 1", "not closed"),
        ("1 UNION SELECT * FROM runs", "no column named 'UNION'"),
        ("depth = (SELECT max(id) FROM cells)", "no column named 'SELECT'"),
        ("load_extension('x')", "calls 'load_extension'"),
        ("randomblob(1000000000)", "calls 'randomblob'"),
        ("lenght(backend) = 3", "Did you mean 'length'?"),
        ("depth = ?", "'?' cannot stand in it"),
        ("depth = :name", "':' cannot stand in it"),
        ("depth = 1 limit 1", "no column named 'limit'"),
        ("pragma writable_schema", "no column named 'pragma'"),
        ("number = 1", "no column named 'number'. Did you mean"),
        ("[depth] = 1", "'[' cannot stand in it"),
        ("`depth` = 1", "'`' cannot stand in it"),
        ("experiment = 'growth", '"\'" cannot stand in it'),
        ("depth = 12abc", "cannot stand in it"),
        ("depth = = 2", "near"),
        ("depth 2", "near"),
        ("", "it is empty"),
        ("   ", "it is empty"),
        ("json_extract(parameters, 'depth')", "path"),
    ],
)
def test_a_bad_or_dangerous_condition_is_refused(path, where, said):
    before = path.read_bytes()
    with pytest.raises(UserInputError) as refused:
        find_results(path, where=where)
    assert said in str(refused.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM cells",
        "UPDATE measurements SET value = 1",
        "INSERT INTO members VALUES (1, 99)",
        "DROP TABLE runs",
        "CREATE TEMP TABLE t (x)",
        "ATTACH ':memory:' AS other",
        "PRAGMA query_only=OFF",
        "SELECT load_extension('x')",
        "SELECT randomblob(10)",
    ],
)
def test_what_a_condition_runs_on_could_not_change_anything(path, statement):
    """Behind the reading of the words there is a second wall."""
    with reading(path) as connection:
        connection.set_authorizer(results._only_reading)
        with pytest.raises(sqlite3.DatabaseError, match="not authorized"):
            connection.execute(statement)


def test_a_connection_for_reading_cannot_write(path):
    with reading(path) as connection, pytest.raises(sqlite3.OperationalError):
        connection.execute("DELETE FROM cells")


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function_that_may_be_called_exists(name):
    connection = sqlite3.connect(":memory:")
    known = {line[0] for line in connection.execute("PRAGMA function_list")}
    connection.close()
    assert name in known | {"coalesce", "ifnull", "iif"}


def test_columns_are_quoted_wherever_they_stand():
    assert checked('a<b AND "order"=1', ["a", "b", "Order"]) == (
        '"a"<"b" AND "Order"=1'
    )


@pytest.mark.parametrize(
    "options, said",
    [
        ({"experiment": "growht"}, "Did you mean 'growth'?"),
        ({"metric": "work_secnds"}, "Did you mean 'work_seconds'?"),
        ({"run": 99}, r"no run or commit '99' .*Its last runs: 1 \("),
    ],
)
def test_a_name_that_is_not_in_the_store_is_refused(path, options, said):
    with pytest.raises(UserInputError, match=said):
        find_results(path, **options)


def test_a_project_without_a_store_says_what_makes_one(tmp_path):
    for ask in (find_results, list_runs, stored_rows):
        with pytest.raises(StoreError, match="'diffkit run' makes it"):
            ask(tmp_path / "results.sqlite")
    assert list(tmp_path.iterdir()) == []


def test_a_path_with_signs_of_an_address_in_it_is_read(tmp_path):
    path = tmp_path / "100% sure? #1 é" / "results.sqlite"
    RunStore(path).close()
    assert find_results(path).records == ()
    assert list_runs(path)[0].outcome == "done"


def test_rows_of_a_run_of_a_commit_and_of_the_newest(path):
    def found(**which):
        rows, damaged = stored_rows(path, **which)
        assert damaged == ()
        return sorted((row.experiment, row.get("depth"), row.commit) for row in rows)

    one, two = COMMITS
    assert found(run=2) == [("growth", 1, two), ("growth", 2, one)]
    assert found(commit="bbbb") == [("growth", 1, two)]
    assert found(commit="aaaa1111") == [
        ("cost", None, one),
        *(("growth", depth, one) for depth in (1, 2, 3)),
    ]
    assert found() == [
        ("cost", None, one),
        ("growth", 1, two),
        ("growth", 2, one),
        ("growth", 3, one),
    ]
    with pytest.raises(UserInputError, match="no run or commit 'cccc'"):
        stored_rows(path, commit="cccc")
