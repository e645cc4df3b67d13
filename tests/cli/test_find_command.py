"""`pacesetter find` on the command line: the document, the words, and the exit codes."""

import json

import pytest

ASK = ("find", "quadratic", "--optimizer", "sgd", "--steps", "135", "--engine", "vectorised", "--workers", "1")


def test_find_prints_the_document_alone(cli):
    """With `--json -` standard output is one strict JSON document; what it costs is said before."""
    ran = cli(*ASK, "--json", "-")
    document = json.loads(ran.out, parse_constant=lambda name: pytest.fail(f"not strict: {name}"))
    assert ran.code == 0
    assert set(document) == {"study", "task", "total_steps", "answer", "cost"}
    assert document["answer"]["interval"][0] <= document["answer"]["lr"] <= document["answer"]["interval"][1]
    assert document["cost"]["runs"] <= 6
    assert ran.err.startswith("searching with pace: about 6 full trainings")


def test_find_says_what_it_found(cli):
    """The rate, its interval, what happens beside it and where it breaks, in words."""
    ran = cli(*ASK)
    assert ran.code == 0
    for words in ("Use sgd at a learning rate of", "Best rate lies in", "At half of it", "Verified"):
        assert words in ran.out
    again = cli("show")
    assert again.out.splitlines()[0] == ran.out.splitlines()[0]


def test_quick_says_that_nothing_is_verified(cli):
    """A first look, and how to get more."""
    ran = cli(*ASK, "--quick")
    assert ran.code == 0
    assert "Not verified" in ran.out


def test_no_answer_is_exit_code_3_with_a_complete_document(cli):
    """Where no loss is finite there is no rate, and the document says so with null."""
    ran = cli("find", "tasks.py:nan_loss", "--steps", "54", "--engine", "looped", "--workers", "1", "--json", "-")
    document = json.loads(ran.out)
    assert ran.code == 3
    assert document["answer"]["lr"] is None
    assert document["answer"]["findings"][0]["name"] == "nothing-learned"
    assert "no answer:" in ran.err


@pytest.mark.parametrize(
    "wrong", [("--budget", "a"), ("--budget", "0.01"), ("--lr", "0.1"), ("--strategy", "pac"), ("--metric", "x")]
)
def test_bad_input_is_exit_code_2_in_one_line(cli, wrong):
    """No traceback, and no store is left behind."""
    ran = cli(*ASK, *wrong)
    assert ran.code == 2
    assert ran.err.strip().splitlines()[-1].startswith("error: `")


def test_a_search_needs_no_torch_program(cli):
    """Any program can be searched with: runs are processes, short ones as well."""
    program = (
        "import sys, json; lr, steps = float(sys.argv[1]), int(sys.argv[2]); w = 1.0\n"
        "print(json.dumps({'step': 0, 'valid_loss': w * w}))\n"
        "for _ in range(steps): w -= lr * 2 * w\n"
        "print(json.dumps({'step': steps, 'valid_loss': min(w * w, 1e30) + 0.01}))\n"
    )
    with open("program.py", "w", encoding="utf-8") as file:  # noqa: PTH123  # in the fixture's folder
        file.write(program)
    ran = cli("find", "--command", "python program.py {lr} {steps}", "--steps", "54", "--lr", "1e-4:3", "--json", "-")
    document = json.loads(ran.out)
    assert ran.code == 0, ran.err
    assert 0.01 < document["answer"]["lr"] < 1
