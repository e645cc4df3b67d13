"""What comes again is replayed: the first call of a kind is the function's own, every later one has the same bits."""

import weakref

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader

from pacesetter import engine
from pacesetter.engine import replayed
from pacesetter.engine.apart import Apart
from pacesetter.engine.compiling import NotCompiled
from pacesetter.engine.replayed import MOST_KINDS, Replays, beside
from tests.engine.helpers import LOOPED, VECTORISED, blobs, joined, lanes_of, small_task, trained


class Counted:
    """A function that draws random numbers and counts how often its Python code runs."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, x):
        self.calls += 1
        return [F.dropout(x, 0.5) + torch.rand(3, dtype=torch.float64), x.sum()]


def test_the_first_call_is_the_function_and_later_ones_its_recording():
    """The code runs at the first call, once more to be recorded, and never again; every call has the same bits."""
    function, plain, replays = Counted(), Counted(), Replays()
    counts, rows = [], []
    torch.manual_seed(1)
    for k in range(5):
        rows.append(replays.run("kind", function, [torch.full((3,), k + 1.0, dtype=torch.float64)]))
        counts.append(function.calls)
    after = torch.get_rng_state()
    torch.manual_seed(1)
    expected = [plain(torch.full((3,), k + 1.0, dtype=torch.float64)) for k in range(5)]
    assert counts == [1, 2, 2, 2, 2]
    assert torch.equal(torch.get_rng_state(), after)
    assert all(
        torch.equal(a, b) for row, other in zip(rows, expected, strict=True) for a, b in zip(row, other, strict=True)
    )


def test_each_kind_has_its_own_recording():
    """Other shapes are another kind: called first, then replayed, beside those of before."""
    function, replays = Counted(), Replays()
    for _ in range(3):
        for rows in (1, 4):
            x = torch.ones(rows, 3, dtype=torch.float64)
            assert replays.run((rows,), function, [x])[0].shape == (rows, 3)
    assert function.calls == 4


def test_an_unknown_kind_is_never_recorded():
    """Without a kind the function is called each time."""
    function, replays = Counted(), Replays()
    for _ in range(4):
        replays.run(None, function, [torch.ones(3, dtype=torch.float64)])
    assert function.calls == 4


def test_data_of_ever_new_shapes_are_not_recorded_for_ever():
    """Beyond so many kinds the function itself is called, and what was recorded is still replayed."""
    function, replays = Counted(), Replays()
    for rows in range(1, MOST_KINDS + 6):
        for _ in range(3):
            replays.run(rows, function, [torch.ones(rows, 3, dtype=torch.float64)])
    assert function.calls == 2 * MOST_KINDS + 3 * 5
    replays.run(1, function, [torch.ones(1, 3, dtype=torch.float64)])
    assert function.calls == 2 * MOST_KINDS + 3 * 5


def test_what_cannot_be_recorded_is_called():
    """A function whose values decide what it does is called each time, and tried to be recorded once."""
    calls = []

    def function(x):
        calls.append(1)
        return [x * 2 if x.sum().item() > 0 else -x]

    replays = Replays()
    found = [float(replays.run("kind", function, [torch.tensor([v])])[0]) for v in (1.0, -1.0, 2.0, -2.0)]
    assert found == [2.0, 1.0, 4.0, 2.0]
    assert len(calls) == 5


def test_what_cannot_be_recorded_is_not_kept():
    """A function that holds weights is let go after its call, also where it is called each time."""
    replays = Replays()

    class Held:
        """Decides by values."""

        def __call__(self, x):
            return [x * 2 if x.sum().item() > 0 else -x]

    for _ in range(3):
        function = Held()
        gone = weakref.ref(function)
        replays.run("kind", function, [torch.ones(1)])
        del function
        assert gone() is None


def test_recording_beside_leaves_no_trace():
    """A recording made beside the training draws nothing from the random state, recordable or not."""
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert beside(Counted(), [torch.ones(3, dtype=torch.float64)], new=False) is not None
    assert beside(lambda x: [x[torch.rand(3) > 0.5]], [torch.ones(3)], new=False) is None
    assert torch.equal(torch.get_rng_state(), before)


def test_one_kind_alone_is_compiled_and_before_its_first_call(monkeypatch):
    """The first kind that is asked for is compiled before it is called, no other is, nor is it tried again."""
    made = []

    def compiler(recording, leaves, threads):
        made.append((leaves[0].shape, threads))
        return lambda *leaves: [leaves[0] * 7]

    monkeypatch.setattr(replayed, "compiled", compiler)
    replays = Replays()
    double = lambda x: [x * 2]
    told = [float(replays.run(n, double, [torch.ones(n)], threads=3)[0][0]) for n in (1, 2, 1, 2)]
    assert told == [7.0, 2.0, 7.0, 2.0]
    assert made == [((1,), 3)]
    assert replays.why_not_compiled == ""


def test_without_a_compiler_it_is_replayed_and_says_why(monkeypatch):
    """A step that cannot be compiled is replayed, and the reason is kept."""

    def compiler(recording, leaves, threads):
        raise NotCompiled("no such compiler")

    monkeypatch.setattr(replayed, "compiled", compiler)
    replays, function = Replays(), Counted()
    for _ in range(3):
        replays.run("kind", function, [torch.ones(3, dtype=torch.float64)], threads=1)
    assert function.calls == 2  # once to find out, once to record
    assert replays.why_not_compiled == "no such compiler"


# ------------------------------------------------------------------------------------------------------- in training


class Named:
    """Batches with a word and a number beside the tensors, which decide what the model does."""

    def __init__(self, odd: bool = False) -> None:
        self.inputs, self.targets = blobs()
        self.odd = odd

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index):
        return {"x": self.inputs[index], "y": self.targets[index]}

    def collated(self, rows):
        """The batch."""
        x, y = (torch.stack([row[name] for row in rows]) for name in ("x", "y"))
        word = "double" if y[0] == 0 else "plain"
        return {"x": x, "y": y, "how": Word(word) if self.odd else word, "power": int(y[1])}


class Word:
    """An object of a type that nobody but its maker knows."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other) -> bool:
        return self.text == (other if isinstance(other, str) else other.text)

    __hash__ = None


def by_word(model, batch):
    """A loss that looks at the word and the number."""
    x = batch["x"] * 2 if batch["how"] == "double" else batch["x"]
    return F.cross_entropy(model(x), batch["y"]) * (1 + batch["power"])


@pytest.mark.parametrize("odd", [False, True])
def test_words_and_numbers_in_a_batch_count_by_value(odd):
    """A batch's words and numbers decide as in a plain loop at every step, and so does an object of unknown type."""
    data = Named(odd)
    loader = DataLoader(data, batch_size=16, shuffle=True, collate_fn=data.collated)
    task = small_task(train=loader, valid=loader, batch_size=None, loss=None, objective=by_word, evaluations=2)
    lanes = lanes_of(task, [0.01, 0.02])
    stacked, plain = (trained(task, lanes, plan) for plan in (VECTORISED, LOOPED))
    for lane in lanes:
        np.testing.assert_allclose(joined(stacked[lane]).train_loss, joined(plain[lane]).train_loss, rtol=1e-10)
        np.testing.assert_allclose(joined(stacked[lane]).valid_loss, joined(plain[lane]).valid_loss, rtol=1e-10)


def test_the_kind_of_a_batch():
    """Shapes, layouts, dtypes and plain values make its kind; tensors' values do not; unknown types have none."""
    kind = lambda *leaves: Apart(list(leaves)).kind
    x = torch.zeros(2, 3)
    assert kind(x, "a", 1, None) == kind(x + 1, "a", 1, None)
    others = [kind(x.t(), "a", 1, None), kind(x.double(), "a", 1, None), kind(x, "b", 1, None), kind(x, "a", 2, None)]
    others.append(kind(torch.zeros(3, 2).t(), "a", 1, None))
    assert kind(x, "a", 1, None) not in others
    assert kind(x, object()) is None
    assert kind(x, np.zeros(2)) is None


@pytest.mark.parametrize(
    "batch", [(torch.ones(2), torch.zeros(3)), [torch.ones(2), torch.zeros(3)], {"a": torch.ones(2), "b": (1, "c")}]
)
def test_a_batch_is_put_together_as_it_was(batch):
    """In its form, with other tensors; tuples and lists of the same tensors are different kinds."""
    apart = Apart(batch)
    again = apart.together([2 * tensor for tensor in apart.tensors])
    assert type(again) is type(batch)
    assert repr(again) == repr(batch).replace("1.", "2.")
    assert Apart(again).kind == apart.kind
    assert Apart(tuple(apart.tensors)).kind != Apart(list(apart.tensors)).kind


def test_a_kind_is_recorded_once_it_has_come_often_enough():
    """What is called a few times is not worth a recording."""
    function, replays = Counted(), Replays(worth_after=3)
    calls = []
    for _ in range(5):
        replays.run("kind", function, [torch.ones(3)])
        calls.append(function.calls)
    assert calls == [1, 2, 3, 4, 4]


def test_equal_numbers_of_other_types_are_other_kinds():
    """1, 1.0 and True decide differently in a model (an index, a factor, a switch), so they are different kinds."""
    kinds = [Apart([torch.zeros(2), value]).kind for value in (1, 1.0, True, 0.0, -0.0)]
    assert len(set(kinds)) == 5


def test_a_short_last_batch_is_a_kind_of_its_own():
    """Training and validation sets whose last batch is short give what the looped engine gives."""
    inputs, targets = blobs()
    data = list(zip(inputs[:72], targets[:72], strict=True))
    task = small_task(
        lambda: nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 3)).double(),
        train=DataLoader(data, batch_size=16, shuffle=True),
        valid=(inputs[72:93], targets[72:93]),
        batch_size=None,
    )
    lanes = lanes_of(task, [0.1, 0.01])
    stacked, plain = (trained(task, lanes, plan) for plan in (VECTORISED, LOOPED))
    for lane in lanes:
        np.testing.assert_allclose(joined(stacked[lane]).train_loss, joined(plain[lane]).train_loss, rtol=1e-9)
        np.testing.assert_allclose(joined(stacked[lane]).valid_loss, joined(plain[lane]).valid_loss, rtol=1e-9)


def test_replayed_training_has_the_bits_of_called_training(monkeypatch):
    """With dropout, running statistics and a metric, training by recordings is training by calls, bit for bit."""
    task = small_task(
        lambda: nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 3)).double(),
        metrics={"right": lambda output, target: (output.argmax(-1) == target).double().mean()},
    )
    lanes = lanes_of(task, [0.1, 0.01, 0.001], "adam")
    found = []
    for most in (MOST_KINDS, 0):
        monkeypatch.setattr(replayed, "MOST_KINDS", most)
        weights: dict = {}
        curves = [joined(parts) for parts in trained(task, lanes, VECTORISED, on_weights=weights.__setitem__).values()]
        found.append((curves, weights))
    (ones, weights), (others, expected) = found
    for a, b in zip(ones, others, strict=True):
        for name in ("train_loss", "grad_norm", "valid_loss"):
            assert np.array_equal(getattr(a, name), getattr(b, name)), name
        assert np.array_equal(a.metrics["right"], b.metrics["right"])
    assert all(torch.equal(weights[lane][k], v) for lane in lanes for k, v in expected[lane].items())


def test_recordings_are_shared_by_chunks_and_not_by_rules():
    """Chunks of one rule replay one recording, made once; another rule has its own."""
    calls = []

    def loss(output, target):
        calls.append(1)
        return F.cross_entropy(output, target)

    task = small_task(loss=loss, steps=12, evaluations=1)
    lanes = [*lanes_of(task, [0.1, 0.2, 0.3, 0.4]), *lanes_of(task, [0.1, 0.2, 0.3, 0.4], "adam")]
    plan = engine.Plan("vectorised", 2, 1, "cpu", "a test")
    bundle = engine.start(task, lanes, plan)
    engine.advance(bundle, 6)
    # Two chunks of each rule, whose first step is called once, and once to record it; and an evaluation of one chunk.
    assert len(bundle.chunks) == 4
    trained_calls = len(calls)
    engine.advance(bundle, 5)
    assert len(calls) == trained_calls
    assert trained_calls <= 2 * 2 + 4
