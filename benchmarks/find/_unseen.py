"""Tasks that were made when the search was done, to see how it fares on what nobody looked at while making it."""

import torch
import torch.nn.functional as F
from _text import text
from sklearn.datasets import make_friedman3
from torch import Tensor, nn

from pacesetter import tasks
from pacesetter.tasks import Task


def digits_linear() -> Task:
    """Softmax regression: convex."""
    given = tasks.load("digits-mlp")
    return Task(
        model=lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), loss=F.cross_entropy, train=given.train,
        valid=given.valid, batch_size=32, steps=300, name="digits-linear",
    )  # fmt: skip


def digits_dropout() -> Task:
    """A wide network of which half is dropped in training."""

    def model() -> nn.Module:
        return nn.Sequential(
            nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.5),
            nn.Linear(128, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10),
        )  # fmt: skip

    given = tasks.load("digits-mlp")
    return Task(
        model=model, loss=F.cross_entropy, train=given.train, valid=given.valid, batch_size=64, steps=400,
        name="digits-dropout",
    )  # fmt: skip


class _Adder(nn.Module):
    """A plain recurrent network that reads a sequence and ends with a number."""

    def __init__(self) -> None:
        super().__init__()
        self.read = nn.RNN(2, 32, batch_first=True)
        self.head = nn.Linear(32, 1)

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = self.head(self.read(x)[0][:, -1])
        return total


def adding() -> Task:
    """The sum of two marked numbers of ten (Hochreiter and Schmidhuber 1997), mean squared error."""
    chance = torch.Generator().manual_seed(0)
    numbers = torch.rand(1500, 10, generator=chance)
    marks = torch.zeros(1500, 10)
    for half in (0, 5):
        marks.scatter_(1, half + torch.randint(0, 5, (1500, 1), generator=chance), 1.0)
    x, y = torch.stack([numbers, marks], 2), (numbers * marks).sum(1, keepdim=True)
    return Task(
        model=_Adder, loss=F.mse_loss, train=(x[:1000], y[:1000]), valid=(x[1000:], y[1000:]), batch_size=50,
        steps=400, name="adding",
    )  # fmt: skip


def robust() -> Task:
    """An arctangent of four numbers (Friedman 1991) whose noise has heavy tails, Huber's loss."""
    x, y = make_friedman3(1200, random_state=0)
    chance = torch.Generator().manual_seed(0)
    x, y = torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)[:, None]
    x = (x - x.mean(0)) / x.std(0)
    # Student's t of two degrees of freedom.
    noise = torch.randn(y.shape, generator=chance) / (-torch.rand(y.shape, generator=chance).log()).sqrt()
    y = (y - y.mean()) / y.std() + 0.1 * noise

    def model() -> nn.Module:
        return nn.Sequential(nn.Linear(4, 48), nn.SiLU(), nn.Linear(48, 48), nn.SiLU(), nn.Linear(48, 1))

    return Task(
        model=model, loss=F.huber_loss, train=(x[:800], y[:800]), valid=(x[800:], y[800:]), batch_size=40, steps=400,
        name="robust",
    )  # fmt: skip


class _Reader(nn.Module):
    """A decoder of one layer that predicts each next character."""

    def __init__(self, kinds: int) -> None:
        super().__init__()
        self.enter = nn.Embedding(kinds, 32)
        self.place = nn.Parameter(torch.randn(16, 32) * 0.02)
        self.first, self.second, self.last = nn.LayerNorm(32), nn.LayerNorm(32), nn.LayerNorm(32)
        self.asked, self.mixed = nn.Linear(32, 96), nn.Linear(32, 32)
        self.wide = nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32))
        self.head = nn.Linear(32, kinds)

    def forward(self, text: Tensor) -> Tensor:
        x = self.enter(text) + self.place
        heads = self.asked(self.first(x)).unflatten(2, (3, 4, 8)).permute(2, 0, 3, 1, 4)
        x = x + self.mixed(F.scaled_dot_product_attention(*heads, is_causal=True).transpose(1, 2).flatten(2))
        scores: Tensor = self.head(self.last(x + self.wide(self.second(x))))
        return scores


def chars_reader() -> Task:
    """A transformer on the text of Python's own documentation, 16 characters at a time."""
    numbers, kinds = text()
    windows = (len(numbers) - 1) // 16
    now, then = numbers[: windows * 16].view(-1, 16), numbers[1 : windows * 16 + 1].view(-1, 16)
    return Task(
        model=lambda: _Reader(kinds), loss=lambda output, target: F.cross_entropy(output.transpose(1, 2), target),
        train=(now[:3200], then[:3200]), valid=(now[3200:], then[3200:]), batch_size=32, steps=300,
        name="chars-reader",
    )  # fmt: skip
