"""Models as people have them, small and in double precision, each with its loss and data."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from tests.engine.helpers import blobs

EXAMPLES, HELD_OUT, LENGTH, WORDS, CLASSES = 72, 24, 6, 11, 3


def _texts():
    """Rows of words, and a class for each that its words tell."""
    words = torch.randint(WORDS, (EXAMPLES + HELD_OUT, LENGTH), generator=torch.Generator().manual_seed(5))
    return words, words.sum(1) % CLASSES


def _signals():
    """Noise around one of three waves: [examples, 2 channels, 8], and which wave it is."""
    generator = torch.Generator().manual_seed(6)
    targets = torch.arange(EXAMPLES + HELD_OUT) % CLASSES
    waves = torch.sin(torch.arange(8) * (targets[:, None] + 1) / 2.0)
    return waves[:, None].double() + torch.randn(len(targets), 2, 8, generator=generator, dtype=torch.float64), targets


POINTS, TEXTS, SIGNALS = blobs(EXAMPLES + HELD_OUT), _texts(), _signals()


class Rows(torch.utils.data.Dataset):
    """Examples that are dicts."""

    def __init__(self, **columns: torch.Tensor) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, row: int) -> dict[str, torch.Tensor]:
        return {name: column[row] for name, column in self.columns.items()}


@dataclass(frozen=True)
class Case:
    """A model with what it learns.

    loss: (output, target) -> loss, and each batch is (input, target); or `objective`: (model, batch) -> loss.
    ratios: each parameter's own ratio, where it has one, by its full name; `lr_ratios`: the same as a task has it.
    stacks: whether many of them can be trained in one pass.
    """

    make_model: Callable[[], nn.Module]
    train: Any
    valid: Any
    loss: Callable[..., torch.Tensor] | None = F.cross_entropy
    objective: Callable[..., torch.Tensor] | None = None
    rule: str = "sgd(momentum=0.9)"
    lr: float = 0.1
    updates: Mapping[str, Any] = field(default_factory=dict)
    ratios: Mapping[str, float] = field(default_factory=dict)
    stacks: bool = True

    def of(self, model: nn.Module, batch: Any) -> torch.Tensor:
        """The loss of a batch."""
        if self.objective is not None:
            return self.objective(model, batch)
        assert self.loss is not None
        return self.loss(model(batch[0]), batch[1])


def case_of(make_model: Callable[[], nn.Module], data=POINTS, **changes: Any) -> Case:
    """A case of classes to be told apart, changed."""
    train, valid = (tuple(t[part] for t in data) for part in (slice(EXAMPLES), slice(EXAMPLES, None)))
    return Case(**{"make_model": lambda: make_model().double(), "train": train, "valid": valid, **changes})


def perceptron(*middle: nn.Module) -> nn.Sequential:
    """Two layers with others in between."""
    return nn.Sequential(nn.Linear(5, 8), *middle, nn.Tanh(), nn.Linear(8, CLASSES))


class Words(nn.Module):
    """A bag of words, a row of words read one after the other, or one in which words look at each other."""

    def __init__(self, kind: str = "bag", dropout: float = 0.0, sparse: bool = False) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, 4, sparse=sparse)
        self.kind = kind
        if kind == "lstm":
            self.reader: nn.Module = nn.LSTM(4, 5, num_layers=2, dropout=dropout, batch_first=True)
        elif kind == "gru":
            self.reader = nn.GRU(4, 5, batch_first=True, bidirectional=True)
        elif kind == "attention":
            self.reader = nn.MultiheadAttention(4, 2, dropout=dropout, batch_first=True)
        elif kind == "transformer":
            self.reader = nn.TransformerEncoderLayer(4, 2, 8, dropout=dropout, batch_first=True)
        self.head = nn.Linear({"lstm": 5, "gru": 10}.get(kind, 4), CLASSES)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        seen = self.words(rows)
        if self.kind in ("lstm", "gru"):
            seen, _ = self.reader(seen)
        elif self.kind == "attention":
            seen, _ = self.reader(seen, seen, seen, need_weights=False)
        elif self.kind == "transformer":
            seen = self.reader(seen)
        return self.head(seen.mean(1))


class Tied(nn.Module):
    """Says the next word, with the weights that read it."""

    def __init__(self) -> None:
        super().__init__()
        self.read = nn.Embedding(WORDS, 4)
        self.middle = nn.Linear(4, 4)
        self.say = nn.Linear(4, WORDS)
        self.say.weight = self.read.weight

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.say(torch.tanh(self.middle(self.read(rows))))


def next_word(model: nn.Module, rows: torch.Tensor) -> torch.Tensor:
    """How badly a model says each word from the one before."""
    return F.cross_entropy(model(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten())


class Judging(nn.Module):
    """Gives its loss itself, of a batch that is a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.body = perceptron()

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        logits = self.body(x)
        return {"logits": logits, "loss": F.cross_entropy(logits, labels)}


class LowRank(nn.Module):
    """A frozen layer with a trained difference of rank 2 beside it, zero at first."""

    def __init__(self, frozen: nn.Linear) -> None:
        super().__init__()
        self.frozen = frozen.requires_grad_(False)
        self.down = nn.Parameter(torch.randn(2, frozen.in_features) / math.sqrt(frozen.in_features))
        self.up = nn.Parameter(torch.zeros(frozen.out_features, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.frozen(x) + x @ self.down.T @ self.up.T


def adapted(width: int = 8) -> nn.Module:
    """A frozen backbone with adapters, and a head that is trained."""
    return nn.Sequential(
        LowRank(nn.Linear(5, width)), nn.Tanh(), LowRank(nn.Linear(width, width)), nn.Tanh(), nn.Linear(width, CLASSES)
    )


def first_layer_frozen() -> nn.Module:
    """A model whose first layer, and the offset of its second, stay as they are."""
    model = perceptron()
    model[0].requires_grad_(False)
    model[2].bias.requires_grad_(False)
    return model


class Looking(nn.Module):
    """Looks at its data a second time, of which its running statistics alone are left."""

    def __init__(self) -> None:
        super().__init__()
        self.body = perceptron(nn.BatchNorm1d(8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = self.body(x)
        self.body(x + 1)
        return seen


class Symmetric(nn.Module):
    """Makes a square weight symmetric."""

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return (weight + weight.transpose(-1, -2)) / 2


def symmetric() -> nn.Module:
    """A weight that is computed from another one, in a way of the user's own."""
    square = nn.Linear(8, 8)
    parametrize.register_parametrization(square, "weight", Symmetric())
    return perceptron(nn.Tanh(), square)


def convolutional(norm: nn.Module) -> nn.Module:
    """Convolutions with a normalisation between them."""
    return nn.Sequential(nn.Conv1d(2, 4, 3), norm, nn.ReLU(), nn.Conv1d(4, 4, 3), nn.Flatten(), nn.Linear(16, CLASSES))


RATIOS = {"lr_ratios": {"0": 0.3, "2": 3, "2.bias": 5}}
OF_PARAMETERS = {"0.weight": 0.3, "0.bias": 0.3, "2.weight": 3.0, "2.bias": 5.0}
TEXT_ROWS = {"train": TEXTS[0][:EXAMPLES], "valid": TEXTS[0][EXAMPLES:], "loss": None, "objective": next_word}
DICTS = {
    "train": Rows(x=POINTS[0][:EXAMPLES], labels=POINTS[1][:EXAMPLES]),
    "valid": Rows(x=POINTS[0][EXAMPLES:], labels=POINTS[1][EXAMPLES:]),
    "loss": None,
}

CASES = {
    "batch norm": case_of(lambda: perceptron(nn.BatchNorm1d(8))),
    "batch norm and accumulation": case_of(lambda: perceptron(nn.BatchNorm1d(8)), updates={"accumulate": 2}),
    "batch norm of what is not used": case_of(Looking),
    "dropout": case_of(lambda: perceptron(nn.Dropout(0.4))),
    "dropout and accumulation": case_of(lambda: perceptron(nn.Dropout(0.4)), updates={"accumulate": 3}),
    "group norm": case_of(lambda: convolutional(nn.GroupNorm(2, 4)), SIGNALS),
    "instance norm": case_of(
        lambda: convolutional(nn.InstanceNorm1d(4, affine=True, track_running_stats=True)), SIGNALS
    ),
    "layer norm": case_of(lambda: perceptron(nn.LayerNorm(8))),
    "embedding": case_of(Words, TEXTS, rule="adam", lr=0.01),
    "sparse embedding": case_of(lambda: Words(sparse=True), TEXTS, rule="sgd", stacks=False),
    "tied weights": case_of(Tied, **TEXT_ROWS),
    "tied weights and ratios": case_of(
        Tied, **TEXT_ROWS, updates={"lr_ratios": {"read": 0.5}}, ratios={"read.weight": 0.5}
    ),
    "lstm": case_of(lambda: Words("lstm", dropout=0.2), TEXTS),
    "gru": case_of(lambda: Words("gru"), TEXTS),
    "attention": case_of(lambda: Words("attention", dropout=0.1), TEXTS),
    "transformer layer": case_of(lambda: Words("transformer"), TEXTS),
    # A mask of dropout is drawn in the order in which its layer's input lies in memory, which stacking changes.
    "transformer layer with dropout": case_of(lambda: Words("transformer", dropout=0.1), TEXTS, stacks=False),
    "weight norm": case_of(lambda: perceptron(nn.Tanh(), parametrizations.weight_norm(nn.Linear(8, 8)))),
    "spectral norm": case_of(
        lambda: perceptron(nn.Tanh(), parametrizations.spectral_norm(nn.Linear(8, 8))), stacks=False
    ),
    "a parametrization": case_of(symmetric),
    "frozen layer": case_of(first_layer_frozen, rule="adamw", lr=0.01),
    "adapters": case_of(adapted, rule="adam", lr=0.01),
    "loss inside the model": case_of(
        Judging, **DICTS, objective=lambda model, batch: model(batch["x"], labels=batch["labels"])["loss"]
    ),
    "dict batches": case_of(
        perceptron, **DICTS, objective=lambda model, batch: F.cross_entropy(model(batch["x"]), batch["labels"])
    ),
    "ratios": case_of(perceptron, updates=RATIOS, ratios=OF_PARAMETERS),
    "ratios and weight decay": case_of(
        perceptron, rule="adamw(weight_decay=0.1)", lr=0.01, updates=RATIOS, ratios=OF_PARAMETERS
    ),
    "accumulation": case_of(perceptron, updates={"accumulate": 3}),
    "accumulation with rmsprop": case_of(perceptron, rule="rmsprop", lr=0.01, updates={"accumulate": 3}),
    "clipping": case_of(perceptron, updates={"clip_norm": 0.3}),
    "clipping with adam": case_of(perceptron, rule="adam", lr=0.01, updates={"clip_norm": 0.3}),
    "all three": case_of(
        perceptron, updates={**RATIOS, "accumulate": 2, "clip_norm": 0.3}, ratios=OF_PARAMETERS, lr=0.05
    ),
    "all three with adamw and dropout": case_of(
        lambda: nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.3), nn.Linear(8, CLASSES)),
        rule="adamw",
        lr=0.01,
        updates={**RATIOS, "accumulate": 2, "clip_norm": 0.3},
        ratios=OF_PARAMETERS,
    ),
}
