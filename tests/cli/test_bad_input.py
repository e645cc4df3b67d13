"""Bad input: a message in one grammar, exit code 2, no traceback."""

import sqlite3

import pytest

CASES = {
    "unknown command": (["comapre"], "did you mean `compare`"),
    "unknown option": (["compare", "--optimiser", "adam"], "No such option '--optimiser'"),
    "rate 0": (["compare", "--lr", "0"], "`lr` must be finite and above 0, got lr=0.0"),
    "negative rate": (["compare", "--lr", "-1"], "`lr` must be finite and above 0, got lr=-1.0"),
    "rate NaN": (["compare", "--lr", "nan"], "`lr` must be finite and above 0, got lr=nan"),
    "rate infinite": (["compare", "--lr", "0.1,inf"], "`lr` must be finite and above 0, got lr=inf"),
    "low above high": (["compare", "--lr", "1:0.1:2"], "`low` must not be above `high`"),
    "no rate per decade": (["compare", "--lr", "0.1:1:0"], "`per_decade` must be a whole number from 1"),
    "zero steps": (["compare", "--steps", "0"], "`steps` must be at least 1, got steps=0"),
    "half a step": (["compare", "--steps", "0.5"], "`steps` must be a whole number, got steps='0.5'"),
    "zero seeds": (["compare", "--seeds", "0"], "`seeds` must be at least 1, got seeds=0"),
    "negative seed": (["compare", "--seed", "-1"], "`seed` must be at least 0, got seed=-1"),
    "unknown optimizer": (["compare", "--optimizer", "adm"], "did you mean `adam`"),
    "unknown schedule": (["compare", "--schedule", "cosin"], "did you mean `cosine`"),
    "unknown argument": (
        ["compare", "--optimizer", "adam(beta3=1)"],
        "`beta3` is no argument of `adam`",
    ),
    "rate in a strategy": (["compare", "--strategy", "sgd lr=1 cosine"], "must not have a rate"),
    "unknown task": (["compare", "digits-mpl"], "did you mean `digits-mlp`"),
    "no such file": (["compare", "nothing.py:task"], "`task` must name a file that exists, got task='nothing.py:task'"),
    "no such name": (["compare", "tasks.py:tsk"], "no `tsk` there: did you mean `task`"),
    "no such module": (["compare", "no.such.module:task"], "`task` must name a module that can be imported"),
    "broken file": (["compare", "broken.py:task"], "ZeroDivisionError: division by zero in broken.py, line 2"),
    "model of another shape": (
        ["compare", "tasks.py:wrong_shape"],
        "`model` could not be run on a batch of shape",
    ),
    "loss that is no scalar": (["compare", "tasks.py:vector_loss"], "`loss` must give a scalar"),
    "data with NaN": (["compare", "tasks.py:nan_data"], "`train` must not hold NaN, got NaN in tensor 0"),
    "no data": (["compare", "tasks.py:empty_data"], "`train` must hold at least one example"),
    "batch larger than the data": (["compare", "tasks.py:large_batch"], "got batch_size=1000 and 64 examples"),
    "out that is a file": (["compare", "--out", "tasks.py"], "`out` must be a place that can be written to"),
    "out that cannot be": (["compare", "--out", "/proc/nowhere"], "`out` must be a place that can be written to"),
    "json that cannot be": (
        ["compare", "--json", "no/such/folder/a.json"],
        "`json` must be a place that can be written to",
    ),
    "store that is no URL": (["compare", "--store", "studies.db"], "sqlite:///studies.db"),
    "store that is a text": (["compare", "--store", "sqlite:///tasks.py"], "that is not a SQLite file"),
    "store of others": (["compare", "--store", "sqlite:///other.db"], "another program's database"),
    "store without a folder": (["compare", "--store", "sqlite:///no/folder/a.db"], "`store` must lie in a folder"),
    "study with a slash": (["compare", "--study", "a/b"], "`study` must be a name without slashes"),
    "unknown engine": (["compare", "--engine", "vectorized"], "did you mean `vectorised`"),
    "unknown device": (
        ["compare", "quadratic", "--device", "abacus"],
        "`device` must be one that this machine has",
    ),
    "unknown executor": (["compare", "--executor", "ray"], "`executor` must be local"),
    "no recipe": (["train"], "Missing option '--recipe'"),
    "unknown task to train": (["train", "quadratik", "--recipe", "sgd lr=0.1"], "did you mean `quadratic`"),
    "wrong task to train": (["train", "tasks.py:vector_loss", "--recipe", "sgd lr=0.1"], "`loss` must give a scalar"),
    "recipe without a rate": (["train", "--recipe", "adam cosine"], "must have its rate"),
    "nothing to list": (["studies", "--store", "sqlite:///none.db"], "`store` must exist"),
    "nothing to show": (["show", "x", "--store", "sqlite:///none.db"], "`store` must exist"),
    "nothing here to show": (["show", "x"], "no studies here yet: run `pacesetter compare`"),
    "a script of no lane": (["show", "--script"], "`script` must come with a lane"),
    "unknown optimizer to explain": (["optimizers", "adm"], "did you mean `adam`"),
    "unknown schedule to explain": (["schedules", "cosin"], "did you mean `cosine`"),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input_ends_with_2_and_a_sentence(name, cli, tmp_path):
    """Each wrong input has exit code 2, its rule on standard error, nothing on standard output, no traceback."""
    arguments, rule = CASES[name]
    (tmp_path / "broken.py").write_text("x = 1\ny = 1 / 0\n", encoding="utf-8")
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE t (x)")
    other.commit()
    other.close()
    ran = cli(*arguments)
    assert ran.code == 2
    assert rule in ran.err
    assert "Traceback" not in ran.err
    assert ran.out.replace("a task file may print what it likes\n", "") == ""
    assert not (tmp_path / "pacesetter-out").exists()
    assert list_studies(tmp_path) == []


def list_studies(folder):
    """The studies in the default store, none if there is no store."""
    from pacesetter import Study
    from pacesetter.errors import StoreError

    try:
        return Study.summaries(f"sqlite:///{folder / 'pacesetter.db'}")
    except StoreError:
        return []


@pytest.mark.parametrize("command", [["compare"], ["train", "--recipe", "sgd lr=0.1"]])
def test_an_unknown_task_leaves_nothing(cli, tmp_path, command):
    """A misspelt task makes neither a store nor a folder."""
    before = set(tmp_path.iterdir())
    assert cli(*command, "quadratik", "--out", "new/folder").code == 2
    assert set(tmp_path.iterdir()) == before


def test_a_file_that_fails_names_its_own_line(cli, tmp_path):
    """The message has the line of the user's file, not of ours."""
    (tmp_path / "broken.py").write_text("x = 1\n\ny = x / 0\n", encoding="utf-8")
    ran = cli("compare", "broken.py:task")
    assert ran.code == 2
    assert "in broken.py, line 3" in ran.err


def test_studies_that_are_not_there(cli, quick):
    """A misspelt study, a lane that does not exist and a file of unknown kind are told with what is there."""
    assert cli("compare", *quick, "--study", "mine").code == 0
    for arguments, rule in [
        (["show", "mein"], "did you mean `mine`"),
        (["show", "mine", "--lane", "4"], "`lane` must be from 0 to 3 in study mine, got lane=4"),
        (["show", "mine", "--lane", "-1"], "`lane` must be from 0 to 3"),
        (["export", "mine", "lanes.xls"], "must end in .csv, .json, .parquet"),
        (["export", "mine", "no/x/../../tasks.py/lanes.csv"], "`path` must be a place that can be written to"),
        (["report", "mine", "--out", "tasks.py"], "`out` must be a place that can be written to"),
        (["compare", *quick, "--study", "mine", "--steps", "21"], "`steps` must be that of study mine"),
    ]:
        ran = cli(*arguments)
        assert (ran.code, rule in ran.err) == (2, True), (arguments, ran)


def test_the_unexpected_ends_with_1_and_one_line(cli, monkeypatch):
    """A fault of ours has exit code 1, one line, and a way to see where; with that way, the traceback."""

    def explode() -> list[str]:
        raise ZeroDivisionError("of ours")

    monkeypatch.setattr("pacesetter.optimizers.names", explode)
    ran = cli("optimizers")
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "PACESETTER_TRACEBACK=1" in ran.err
    monkeypatch.setenv("PACESETTER_TRACEBACK", "1")
    assert "Traceback" in cli("optimizers").err


def test_a_missing_package_is_told_with_the_line_that_installs_it(cli, monkeypatch):
    """A core without torch says which extra brings it, exit code 2."""

    def absent() -> list[str]:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr("pacesetter.optimizers.names", absent)
    ran = cli("optimizers")
    assert ran.code == 2
    assert "pip install 'pacesetter[train]'" in ran.err
