"""Commands that read the store, and those that list names."""

import json
import subprocess
import sys

import pytest


@pytest.fixture
def study(cli, quick):
    """The name of a finished study in the default store."""
    assert cli("compare", *quick, "--study", "mine").code == 0
    return "mine"


def test_studies_lists_them(cli, study):
    """One line per study with its lanes and steps; as JSON for programs."""
    ran = cli("studies")
    assert ran.code == 0
    assert "mine" in ran.out
    assert "quadratic" in ran.out
    (found,) = json.loads(cli("studies", "--json", "-").out)["studies"]
    assert (found["name"], found["lanes"], found["ended"], found["total_steps"]) == ("mine", 4, 4, 20)


def test_show_in_another_process(cli, study, tmp_path):
    """A process that trained nothing shows what the trainer stored, and imports no torch for it."""
    code = (
        "import sys; from pacesetter.cli import run\n"
        "code = run(['show', 'mine']); print('torch' in sys.modules, file=sys.stderr); sys.exit(code)"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "sgd" in ran.stdout
    assert ran.stderr.strip() == "False"


def test_show_without_a_name_takes_the_newest(cli, study, quick):
    """`show` alone shows the study that was made last, and says which."""
    cli("compare", *quick, "--study", "later")
    ran = cli("show")
    assert ran.code == 0
    assert "the newest study, later" in ran.err


def test_show_one_lane(cli, study):
    """`--lane N` has the recipe, the evaluations and the findings of lane N, which `--lanes` numbers."""
    table = cli("show", "mine", "--lanes")
    assert table.code == 0
    assert [line.split()[:3] for line in table.out.splitlines()[1:]] == [
        ["0", "0.01", "0"],
        ["1", "0.01", "1"],
        ["2", "0.05", "0"],
        ["3", "0.05", "1"],
    ]
    ran = cli("show", "mine", "--lane", "3")
    assert ran.code == 0
    assert "lane 3 of study mine: sgd lr=0.05 constant, seed 1" in ran.out
    assert "20 of 20 steps; lr applied 0.05 throughout" in ran.out
    assert "verdict" in ran.out


def test_show_script_is_a_program(cli, study):
    """`--lane N --script` prints Python that compiles, and nothing else."""
    ran = cli("show", "mine", "--lane", "1", "--script")
    assert ran.code == 0
    compile(ran.out, "lane1.py", "exec")
    assert "import torch" in ran.out


def test_show_json(cli, study):
    """`show --json -` is the document of compare."""
    ran = cli("show", "mine", "--json", "-")
    assert ran.code == 0
    assert json.loads(ran.out)["study"] == "mine"


def test_report_and_export(cli, study, tmp_path):
    """Page, pictures and tables are made from the store."""
    ran = cli("report", "mine")
    assert ran.code == 0
    assert ran.err == "writing the report of mine ...\n"
    assert (tmp_path / "pacesetter-out" / "mine" / "report.html").exists()
    ran = cli("export", "mine", "lanes.csv")
    assert (ran.code, ran.out) == (0, "written: lanes.csv\n")
    assert len((tmp_path / "lanes.csv").read_text(encoding="utf-8").splitlines()) == 5


def test_an_empty_store_says_so(cli, tmp_path):
    """A store without studies is no error for `studies`, and one with a way out for `show`."""
    from pacesetter.store import Store

    Store.open("sqlite:///pacesetter.db").close()
    ran = cli("studies")
    assert ran.code == 0
    assert "no studies here yet" in ran.out
    ran = cli("show")
    assert ran.code == 2
    assert "run `pacesetter compare`" in ran.err


NOTHING = "no studies here yet: run `pacesetter compare`, or name a store with --store"


def test_a_folder_without_a_store_says_so(cli, tmp_path):
    """Without a store, `studies` lists none, the others say how to begin, and nothing is made."""
    ran = cli("studies")
    assert (ran.code, ran.out, ran.err) == (0, f"{NOTHING}\n", "")
    assert json.loads(cli("studies", "--json", "-").out) == {"studies": []}
    for line in (["show"], ["show", "mine"], ["report"], ["export", "mine", "lanes.csv"]):
        ran = cli(*line)
        assert (ran.code, ran.out, ran.err) == (2, "", f"error: {NOTHING}\n")
    for command in ("studies", "show"):
        ran = cli(command, "--store", "sqlite:///other.db")
        assert ran.code == 2
        assert "other.db" in ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["tasks.py"]


def test_show_one_lane_for_programs(cli, study):
    """`--lane N --json -` is that lane's entry of the study's document; with `--lanes` the lane is refused."""
    whole = json.loads(cli("show", "mine", "--json", "-").out)
    ran = cli("show", "mine", "--lane", "3", "--json", "-")
    assert ran.code == 0
    assert json.loads(ran.out) == whole["lanes"][3]
    ran = cli("show", "mine", "--lanes", "--lane", "3")
    assert (ran.code, ran.out) == (2, "")
    assert "`lane` must come without lanes, got lane=3 and lanes" in ran.err
    assert cli("show", "mine", "--lane", "4").code == 2


def test_lanes_of_an_interrupted_study_are_not_finished(cli, study):
    """Nobody is said to run what may have been interrupted."""
    from pacesetter.records import Lane
    from pacesetter.store import Store

    with Store.open("sqlite:///pacesetter.db") as store:
        store.add_lanes("mine", [Lane("sgd", "constant", 0.1, 0, 20)])
    assert "not finished" in cli("show", "mine", "--lanes").out
    assert "not finished: It has not reached its last step" in cli("show", "mine", "--lane", "4").out
    assert "running" not in cli("show", "mine", "--lanes").out


@pytest.mark.parametrize(
    ("command", "some"),
    [("tasks", "digits-mlp"), ("optimizers", "adagrad"), ("schedules", "plateau")],
)
def test_names_have_one_line_each(cli, command, some):
    """Each name is listed on one line with what it is."""
    ran = cli(command)
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert some in [line.split()[0] for line in lines]
    assert all(len(line.split()) > 3 for line in lines)


def test_a_name_is_explained(cli):
    """`optimizers NAME` and `schedules NAME` tell arguments and source."""
    assert "beta1" in cli("optimizers", "adam").out
    assert "final" in cli("schedules", "cosine").out


@pytest.mark.parametrize(
    "command",
    ["", "compare", "train", "studies", "show", "report", "export", "tasks", "optimizers", "schedules"],
)
def test_every_help_has_an_example(cli, command):
    """`--help` of each command shows at least one line to type, and fits a terminal."""
    ran = cli(*command.split(), "--help")
    assert ran.code == 0
    assert f"  pacesetter {command or 'compare'}" in ran.out
    assert max(map(len, ran.out.splitlines())) <= 100


def test_version(cli):
    """`--version` says which."""
    from pacesetter import __version__

    assert cli("--version").out == f"pacesetter {__version__}\n"


def test_a_reader_that_leaves_is_no_error(cli, study, tmp_path):
    """`pacesetter ... | head -1` ends quietly."""
    line = f"{sys.executable} -m pacesetter.cli show mine --json - | head -c 1"
    ran = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("{", "")
