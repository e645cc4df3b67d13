"""Your own training loop, driven by a schedule: a pure one, and one that listens to the validation loss.

python examples/own_loop.py
"""

import torch
import torch.nn.functional as F
from torch import nn

import pacesetter as ps
from pacesetter.connect.torch import scheduler as schedule_rates

STEPS = 300


def train(model: nn.Module, optimizer: torch.optim.Optimizer, scheduler: torch.optim.lr_scheduler.LRScheduler) -> float:
    """A plain PyTorch loop; the two lines that differ from a loop at a fixed rate say so."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(640, 1, generator=generator) * 4 - 2
    y = torch.sin(3 * x) + 0.1 * torch.randn(640, 1, generator=generator)
    valid_loss = float("nan")
    for step in range(STEPS):
        batch = torch.randint(0, 512, (64,), generator=generator)
        optimizer.zero_grad()
        F.mse_loss(model(x[batch]), y[batch]).backward()
        optimizer.step()
        scheduler.step()  # once after every update, not once per epoch
        if (step + 1) % 20 == 0:
            with torch.no_grad():
                valid_loss = F.mse_loss(model(x[512:]), y[512:]).item()
            scheduler.observe(valid_loss)  # only `plateau` needs it; the others do not mind
        if (step + 1) % 60 == 0:
            print(f"  step {step + 1:3d}  next rate {scheduler.get_last_lr()[0]:.5f}  validation loss {valid_loss:.4f}")
    return valid_loss


def make_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 1))


def main() -> None:
    print("A recipe makes the optimizer and the scheduler: warm-up, then a cosine.")
    model = make_model()
    recipe = ps.Recipe.parse("adam lr=0.03 warmup(0.05) >> cosine()")
    train(model, *recipe.to_torch(model.parameters(), total_steps=STEPS))

    print("Your own optimizer, with a rate that falls when the validation loss stops falling.")
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9)
    train(model, optimizer, schedule_rates(optimizer, "plateau(factor=0.3, patience=1)", total_steps=STEPS))


if __name__ == "__main__":
    main()
