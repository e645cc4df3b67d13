"""`pacesetter replay`: a table of recorded sweeps in, scores out."""

import gzip
import json

import pytest

HEADER = "sweep,lr,seed,step,value\n"


@pytest.fixture
def data(tmp_path):
    """Two sweeps of three rates and two seeds, with untrained values; in the first, the largest rate diverges."""
    ends = {"first": {0.01: 1.1, 0.1: 0.5, 1.0: ""}, "second": {0.01: 0.5, 0.1: 0.8, 1.0: 1.0}}
    rows = [
        f"{sweep},{lr},{seed},{step},{value}\n"
        for sweep, rates in ends.items()
        for lr, end in rates.items()
        for seed in (3, 7)
        for step, value in ((0, 2.0), (100, end))
    ]
    (tmp_path / "sweeps.csv").write_text(HEADER + "".join(rows), encoding="utf-8")
    return tmp_path / "sweeps.csv"


def test_a_grid_finds_the_best_of_each_sweep(cli, data):
    """A full grid gives nothing up and costs a run for each rate, said in words and in the document alike."""
    ran = cli("replay", "sweeps.csv")
    assert ran.code == 0
    headings = "strategy regret % median worst runs held % decades"
    assert ran.out.splitlines()[0].split() == headings.split()
    assert ran.out.splitlines()[1].split()[:5] == ["grid", "0", "0", "0", "3.00"]
    assert "2 sweeps of sweeps.csv" in ran.out
    document = json.loads(cli("replay", "sweeps.csv", "--json", "-").out)
    assert (document["data"], document["sweeps"], document["skipped"]) == ("sweeps.csv", 2, 0)
    (score,) = document["strategies"]
    assert score["strategy"] == "grid"
    assert score["regret"] == {"mean": 0.0, "median": 0.0, "worst": 0.0}
    assert (score["runs"], score["unanswered"]) == (3.0, 0)


def test_strategies_share_a_budget(cli, data):
    """A grid thinned to one run has the middle rate: right in the first sweep, 0.3 of 1.5 given up in the second."""
    arguments = ("--strategy", "grid", "--strategy", "random(trials=3)", "--budget", "1", "--json", "-")
    grid, random = json.loads(cli("replay", "sweeps.csv", *arguments).out)["strategies"]
    assert grid["regret"]["mean"] == pytest.approx(0.1)
    assert grid["regret"]["worst"] == pytest.approx(0.2)
    assert grid["difference"]["worst"] == pytest.approx(0.3)
    assert (grid["runs"], random["runs"], random["strategy"]) == (1.0, 1.0, "random(trials=3)")


def test_packed_files_and_other_columns_read(cli, data, tmp_path):
    """`.gz` reads as what is in it, columns in any order, and what else there is in a row is left alone."""
    lines = [line.split(",") for line in data.read_text(encoding="utf-8").splitlines()]
    mixed = "\n".join(",".join([*reversed(line), "more"]) for line in lines)
    (tmp_path / "mixed.csv.gz").write_bytes(gzip.compress(mixed.encode()))
    first, again = (cli("replay", name, "--json", "-") for name in ("sweeps.csv", "mixed.csv.gz"))
    assert json.loads(first.out)["strategies"] == json.loads(again.out)["strategies"]


def test_without_untrained_values_losses_are_in_units_of_the_value(cli, data, tmp_path):
    """No share can be said of an improvement that is not known: null for programs, and said to people."""
    kept = [line for line in data.read_text(encoding="utf-8").splitlines() if ",0,2.0" not in line]
    (tmp_path / "ends.csv").write_text("\n".join(kept), encoding="utf-8")
    ran = cli("replay", "ends.csv", "--budget", "1", "--json", "scores.json")
    assert "lost is in units of the value" in ran.out
    (score,) = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))["strategies"]
    assert score["regret"] is None
    assert score["difference"]["worst"] == pytest.approx(0.3)


def test_a_sweep_that_diverged_altogether_is_left_out(cli, data):
    """It has no best rate; how many there were is said."""
    with data.open("a", encoding="utf-8") as file:
        file.write("third,0.1,0,100,nan\nthird,1,0,100,\n")
    ran = cli("replay", "sweeps.csv")
    assert "2 sweeps of sweeps.csv" in ran.out
    assert "1 sweep left out: every full run of them diverged" in ran.out


CASES = {
    "no file": (None, "`data` must name a file that exists, got data='bad.csv'"),
    "a missing column": ("sweep,lr,seed,value\na,1,0,2\n", "must have the columns sweep, lr, seed, step, value"),
    "nothing": ("", "must have the columns"),
    "no rows": (HEADER, "without rows"),
    "a short row": (f"{HEADER}a,1,0,10,2\na,1,0\n", "with 3 of 5 columns, in row 2 of its runs"),
    "a word": (f"{HEADER}a,fast,0,10,2\n", "with lr='fast', which is no number, in row 1"),
    "a rate of 0": (f"{HEADER}a,0,0,10,2\n", "lr=0, which must be finite and above 0"),
    "half a step": (f"{HEADER}a,1,0,0.5,2\n", "step=0.5, which must be a whole number from 0"),
    "a negative seed": (f"{HEADER}a,1,-1,10,2\n", "seed=-1, which must be a whole number from 0"),
    "a run twice": (f"{HEADER}a,1,0,10,2\na,1,0,10,3\n", "must have each run once, got data='bad.csv' with one twice"),
    "no run": (f"{HEADER}a,1,0,0,2\n", "with step 0 alone in sweep 'a'"),
    "all diverged": (f"{HEADER}a,1,0,10,\na,2,0,10,inf\n", "all of it has diverged"),
    "no text": (b"\xff\xfe\x00", "`data` must be a CSV file that can be read"),
}


@pytest.mark.parametrize(("text", "message"), CASES.values(), ids=CASES)
def test_a_table_that_is_none_is_refused(cli, tmp_path, text, message):
    """The message says what is wrong and where; the exit code is 2, and standard output stays empty."""
    if text is not None:
        (tmp_path / "bad.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    ran = cli("replay", "bad.csv", "--json", "-")
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--strategy", "gird"), "did you mean `grid`"),
        (("--budget", "much"), "`budget` must be a number, got budget='much'"),
        (("--budget", "0"), "`budget` must be finite and above 0"),
    ],
)
def test_options_that_do_not_read_are_refused(cli, data, arguments, message):
    """In the one grammar, with exit code 2."""
    ran = cli("replay", "sweeps.csv", *arguments)
    assert ran.code == 2
    assert message in ran.err


def test_a_packed_file_that_is_cut_off_is_refused(cli, data, tmp_path):
    """Half a download is told as what it is."""
    (tmp_path / "half.csv.gz").write_bytes(gzip.compress(data.read_bytes())[:40])
    ran = cli("replay", "half.csv.gz")
    assert ran.code == 2
    assert "`data` must be a CSV file that can be read" in ran.err


def test_where_no_strategy_has_a_rate_there_is_no_answer(cli, data):
    """With a budget below one run nothing is tried: exit code 3, and a complete document."""
    ran = cli("replay", "sweeps.csv", "--budget", "0.5", "--json", "-")
    assert ran.code == 3
    assert json.loads(ran.out)["strategies"][0]["unanswered"] == 2
    assert "no answer: no strategy had a rate" in ran.err
