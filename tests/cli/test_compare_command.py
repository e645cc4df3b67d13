"""`pacesetter compare` and `train`: rendering, documents, files and exit codes."""

import json
import math

LANE = {
    "optimizer": str,
    "schedule": str,
    "lr": float,
    "seed": int,
    "outcome": str,
    "steps": int,
    "train_loss": float | None,
    "valid_loss": float | None,
    "metrics": dict,
    "findings": list,
}
ANSWER = {
    "optimizer": str,
    "schedule": str,
    "best_tried": float | None,
    "lr": float | None,
    "interval": list | None,
    "equivalent": list,
    "safe_range": list | None,
    "stability_edge": list | None,
    "valid_loss": float | None,
    "confidence": float,
    "findings": list,
    "recipe": str | None,
}


def strict(text):
    """Parse JSON that holds no NaN."""

    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


def has_shape(value, shape):
    """Whether a document has exactly these keys, in this order, of these types."""
    return list(value) == list(shape) and all(isinstance(value[key], kind) for key, kind in shape.items())


def check_document(document):
    """The document of `compare` is what the design says."""
    assert list(document) == ["study", "task", "total_steps", "lanes", "answers", "cost"]
    assert list(document["cost"]) == ["lane_steps", "runs", "seconds"]
    assert document["lanes"]
    assert all(has_shape(lane, LANE) for lane in document["lanes"])
    assert document["answers"]
    assert all(has_shape(answer, ANSWER) for answer in document["answers"])
    for judged in (*document["lanes"], *document["answers"]):
        assert all(list(finding) == ["name", "level", "text"] for finding in judged["findings"])


def test_people_get_a_table_and_the_study_name(cli, quick):
    """Standard output has the rendering and where the study is; standard error the progress; exit code 0."""
    ran = cli("compare", *quick)
    assert ran.code == 0
    assert "sgd" in ran.out
    assert "pacesetter show quadratic-1" in ran.out
    assert "0/4 lanes" in ran.err
    assert "4/4 lanes" in ran.err
    assert "\x1b" not in ran.out + ran.err


def test_json_alone_on_standard_output(cli):
    """With `--json -` standard output is one strict document, whatever the task prints; people read standard error."""
    ran = cli("compare", "tasks.py:task", "--lr", "0.001:1:1", "--seeds", "3", "--json", "-")
    assert ran.code == 0
    document = strict(ran.out)
    check_document(document)
    assert (document["task"], document["total_steps"], len(document["lanes"])) == ("tasks.py:task", 12, 12)
    assert "a task file may print what it likes" in ran.err
    assert "pacesetter show" in ran.err


def test_json_file_page_and_pictures(cli, quick, tmp_path):
    """`--json FILE` and `--out DIR` leave their files, and the paths are told."""
    ran = cli("compare", *quick, "--json", "a.json", "--out", "results")
    assert ran.code == 0
    check_document(strict((tmp_path / "a.json").read_text(encoding="utf-8")))
    assert "written: a.json" in ran.out
    assert "written: results/report.html" in ran.out
    assert (tmp_path / "results" / "report.html").exists()


def test_a_nan_loss_at_every_rate_is_no_answer(cli):
    """No lane learned: exit code 3, a sentence why, and a complete strict document."""
    ran = cli("compare", "tasks.py:nan_loss", "--lr", "0.01:1:1", "--seeds", "1", "--json", "-")
    assert ran.code == 3
    document = strict(ran.out)
    check_document(document)
    assert {lane["outcome"] for lane in document["lanes"]} == {"diverged"}
    assert document["answers"][0]["lr"] is None
    assert document["answers"][0]["recipe"] is None
    assert "no answer: Nothing learned: all 3 lanes diverged" in ran.err


def test_a_model_that_breaks_in_every_lane_is_failed_work(cli):
    """Every lane failed in the user's own code: exit code 1, the code's own words, the study kept."""
    ran = cli("compare", "tasks.py:fails_later", "--lr", "0.01,0.1", "--seeds", "1", "--engine", "looped")
    assert ran.code == 1
    assert "the cable came out" in ran.err
    assert "Traceback" not in ran.err
    assert cli("show").code == 0


def test_strategy_alone_and_beside(cli, quick):
    """`--strategy` joins the product of the other options, and replaces the default one."""
    beside = strict(cli("compare", *quick, "--strategy", "sgd(momentum=0.9) cosine", "--json", "-").out)
    assert [a["schedule"] for a in beside["answers"]] == ["constant", "cosine"]
    alone = cli("compare", "quadratic", "--lr", "0.05", "--steps", "4", "--strategy", "sgd step", "--json", "-")
    assert [a["optimizer"] for a in strict(alone.out)["answers"]] == ["sgd"]


def test_the_same_study_goes_on_and_then_rests(cli, quick):
    """The same command under the same name trains nothing more, and shows the same."""
    first = cli("compare", *quick, "--study", "mine", "--json", "-")
    again = cli("compare", *quick, "--study", "mine", "--json", "-")
    assert "study mine is finished: nothing is trained" in again.err
    assert first.out == again.out


def test_the_command_is_kept_in_the_provenance(cli, quick):
    """Whoever reads the study sees the line that made it."""
    from pacesetter import Study

    cli("compare", *quick, "--study", "mine")
    record = Study.load("mine").record
    assert record.provenance["command"] == "pacesetter compare " + " ".join((*quick, "--study", "mine"))


def test_train_leaves_its_files_under_the_study(cli, tmp_path):
    """Each training has a folder of its own, so that none overwrites another's weights."""
    for number in (1, 2):
        ran = cli("train", "tasks.py:task", "--recipe", "adam lr=0.01 warmup(0.25) >> cosine()", "--engine", "looped")
        assert ran.code == 0
        folder = tmp_path / "pacesetter-out" / f"tasks-task-{number}"
        assert (folder / "weights.safetensors").exists()
        assert (folder / "curve.csv").exists()
        assert f"written: pacesetter-out/tasks-task-{number}/weights.safetensors" in ran.out
        assert "after step" in ran.out


def test_a_training_that_diverges_is_no_answer(cli, tmp_path):
    """`train` of a rate that is too high: exit code 3 and why; the curve is left, and no weights of an older run."""
    assert cli("train", "quadratic", "--recipe", "sgd lr=0.05", "--out", "o").code == 0
    ran = cli("train", "quadratic", "--recipe", "sgd lr=10", "--out", "o", "--json", "-")
    assert ran.code == 3
    assert strict(ran.out)["lanes"][0]["outcome"] == "diverged"
    assert "no answer: the lane diverged" in ran.err
    assert "written: o/curve.csv" in ran.err
    assert "weights" not in ran.err
    assert [path.name for path in (tmp_path / "o").iterdir()] == ["curve.csv"]


def test_losses_of_the_document_are_those_of_the_curves(cli, quick):
    """A lane's numbers in the document are its curve's last ones."""
    from pacesetter import Study

    document = strict(cli("compare", *quick, "--study", "mine", "--json", "-").out)
    for lane, record in zip(document["lanes"], Study.load("mine").lanes, strict=True):
        assert lane["valid_loss"] == record.curve.final_valid_loss
        assert math.isclose(lane["train_loss"], record.curve.final_train_loss)
