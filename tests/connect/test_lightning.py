"""The connector of Lightning: rates, checkpoints, what controllers are told, and tasks made of a module and data."""

import copy
import doctest
import logging
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, TensorDataset

import pacesetter as ps
from pacesetter.connect.lightning import Observer, configure, task
from pacesetter.connect.torch import Scheduler
from pacesetter.errors import InputError, TaskError
from tests.docs.blocks import ROOT, blocks

RECIPE = "sgd lr=40.0 warmup(5) >> cosine * plateau(factor=0.5, patience=0)"
UPDATES = 20
"""Of 72 rows in batches of 8, two to an update, for 4 epochs: the last update of each epoch has one batch."""

pytestmark = [
    # Lightning's own use of what torch has renamed.
    pytest.mark.filterwarnings("ignore:`isinstance\\(treespec, LeafSpec\\)` is deprecated:FutureWarning"),
    # Advice for large trainings.
    pytest.mark.filterwarnings("ignore:The '\\w+_dataloader' does not have many workers:UserWarning"),
    # A resumed training writes where the interrupted one did, and begins an epoch anew in which it stopped.
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty:UserWarning"),
    pytest.mark.filterwarnings(
        "ignore:You're resuming from a checkpoint that ended before the epoch ended:UserWarning"
    ),
]

POINTS = torch.randn(96, 3, generator=torch.Generator().manual_seed(0))
CLASSES = (POINTS.sum(1) > 0).long()


@pytest.fixture(autouse=True)
def quiet():
    """Lightning says on standard error which devices there are."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    yield
    logger.setLevel(level)


class Data(LightningDataModule):
    """Points, split when they are set up."""

    def setup(self, stage):
        self.train = TensorDataset(POINTS[:72], CLASSES[:72])
        self.valid = TensorDataset(POINTS[72:], CLASSES[72:])

    def train_dataloader(self):
        return DataLoader(self.train, 8)

    def val_dataloader(self):
        return DataLoader(self.valid, 6)


class Classifier(LightningModule):
    """A layer that is trained by a recipe, the same each time.

    scripted: validation losses by the number of updates, for trainings whose own ones would depend on more.
    """

    def __init__(self, recipe=RECIPE, scripted=None, total_steps=None):
        super().__init__()
        torch.manual_seed(0)
        self.body = torch.nn.Linear(3, 2)
        self.recipe, self.scripted, self.total_steps = recipe, scripted, total_steps

    def training_step(self, batch, batch_idx):
        loss = F.cross_entropy(self.body(batch[0]), batch[1])
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        loss = F.cross_entropy(self.body(batch[0]), batch[1])
        self.log("val_loss", loss if self.scripted is None else self.scripted[self.global_step % len(self.scripted)])

    def configure_optimizers(self):
        return configure(self, self.recipe, self.total_steps)


def page_of(title):
    """The code of one section of the page on frameworks."""
    page = ROOT / "docs" / "frameworks.md"
    section = page.read_text(encoding="utf-8").partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return [code for code in blocks(page, "python") if code in section]


class Interrupted(Exception):
    """What ends a training half way."""


class Recorder(Callback):
    """The rate of each update and the metric of each validation; may interrupt the training after some updates."""

    def __init__(self, stop=None):
        self.rates, self.metrics, self.stop = {}, {}, stop

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        if trainer.global_step == self.stop:
            raise Interrupted
        self.rates[trainer.global_step] = optimizer.param_groups[0]["lr"]

    def on_validation_end(self, trainer, pl_module):
        if not trainer.sanity_checking:
            self.metrics[trainer.global_step] = float(trainer.callback_metrics["val_loss"])


def quiet_trainer(callbacks=(), **changes):
    """A Trainer that writes nothing."""
    settings = {
        "max_epochs": 4,
        "accumulate_grad_batches": 2,
        "accelerator": "cpu",
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": any(isinstance(one, ModelCheckpoint) for one in callbacks),
    }
    return Trainer(callbacks=list(callbacks), **{**settings, **changes})


def trained(module=None, stop=None, resume=None, folder=None, observer=True, callbacks=(), **changes):
    """What a recorder saw of a training, and the Trainer; interrupted before the update `stop`."""
    recorder = Recorder(stop)
    given = [recorder, *([Observer("val_loss")] if observer else []), *callbacks]
    if folder is not None:
        given.insert(0, ModelCheckpoint(folder, filename="{step}", save_top_k=-1))
    trainer = quiet_trainer(given, **changes)
    module = Classifier() if module is None else module
    if stop is None:
        trainer.fit(module, Data(), ckpt_path=resume)
    else:
        with pytest.raises(Interrupted):
            trainer.fit(module, Data())
    return recorder, trainer


def by_hand(recipe, metrics, count):
    """The rate of each update, from the schedule alone and {updates made: metric}."""
    recipe = ps.Recipe.parse(recipe)
    state, rates = recipe.schedule.init(), {}
    for step in range(count):
        if step in metrics:
            state = recipe.schedule.update(state, metrics[step], step, count)
        rates[step] = recipe.lr * recipe.schedule.factor(state, step, count)
    return rates


def newest(folder):
    """The last checkpoint, and the number of updates that it is of."""
    by_step = {int(path.stem.removeprefix("step=")): path for path in folder.glob("*.ckpt")}
    return by_step[max(by_step)], max(by_step)


def test_warm_up_and_plateau_resumed_from_a_checkpoint(tmp_path) -> None:
    """Interrupted and resumed in fresh objects, every update runs at the rate of the schedule by hand."""
    whole, _ = trained()
    assert whole.rates == by_hand(RECIPE, whole.metrics, UPDATES)
    assert whole.rates != by_hand(RECIPE, {}, UPDATES), "the plateau never reacted, so that this test says nothing"
    for stop in (8, 17):
        folder = tmp_path / str(stop)
        first, _ = trained(stop=stop, folder=folder)
        saved, step = newest(folder)
        assert step == stop // 5 * 5
        second, _ = trained(resume=saved, folder=folder)
        assert min(second.rates) == step
        assert first.rates | second.rates == whole.rates
        assert first.metrics | second.metrics == whole.metrics


def test_resumed_within_an_epoch(tmp_path) -> None:
    """With several validations in an epoch a checkpoint of any of them goes on at the same rates."""
    scripted = [1.0, 0.5, 0.7, 0.6, 0.4, 0.45, 0.3]
    changes = {"val_check_interval": 4}
    whole, _ = trained(Classifier(scripted=scripted), **changes)
    assert whole.rates == by_hand(RECIPE, whole.metrics, UPDATES)
    assert list(whole.metrics) == [2, 4, 7, 9, 12, 14, 17, 19]
    first, _ = trained(Classifier(scripted=scripted), stop=13, folder=tmp_path, **changes)
    saved, step = newest(tmp_path)
    assert step == 12
    second, _ = trained(Classifier(scripted=scripted), resume=saved, folder=tmp_path, **changes)
    assert first.rates | second.rates == whole.rates


def test_a_longer_training_goes_on_from_a_shorter_one(tmp_path) -> None:
    """A checkpoint of 4 epochs resumed for 6 runs at the rates that a training of 6 has from there."""
    recipe = "sgd lr=0.5 warmup(0.2) >> linear"
    trained(Classifier(recipe), stop=17, folder=tmp_path)
    saved, step = newest(tmp_path)
    resumed, _ = trained(Classifier(recipe), resume=saved, folder=tmp_path, max_epochs=6)
    assert resumed.rates == {k: rate for k, rate in by_hand(recipe, {}, 30).items() if k >= step}


@pytest.mark.parametrize(
    ("changes", "updates"),
    [
        ({"accumulate_grad_batches": 1}, 36),
        ({"accumulate_grad_batches": 4}, 12),
        ({"accumulate_grad_batches": 4, "max_steps": 7}, 7),
        ({"max_epochs": -1, "max_steps": 6}, 6),
        ({"limit_train_batches": 4}, 8),
    ],
)
def test_the_length_is_that_of_the_training(changes, updates) -> None:
    """The schedule advances once for each update, however many batches it is of, and ends with the training."""
    recipe = "sgd lr=0.5 warmup(0.2) >> linear"
    recorder, trainer = trained(Classifier(recipe), **changes)
    assert recorder.rates == by_hand(recipe, {}, updates)
    scheduler = trainer.lr_scheduler_configs[0].scheduler
    assert scheduler.total_steps == scheduler.last_epoch == updates
    found = task(Classifier(), Data(), quiet_trainer(**changes))
    assert found.total_steps == updates
    assert found.accumulate == changes.get("accumulate_grad_batches", 2)


def test_a_training_without_an_end() -> None:
    """Where the Trainer knows no length it is asked for, and a given one counts."""
    with pytest.raises(InputError, match=r"`total_steps` must be given to a training without an end"):
        trained(Classifier("sgd lr=0.5 linear"), max_epochs=-1)
    recorder, _ = trained(Classifier("sgd lr=0.5 linear", total_steps=100))
    assert recorder.rates == {k: v for k, v in by_hand("sgd lr=0.5 linear", {}, 100).items() if k < UPDATES}


def test_the_rate_monitor_logs_each_update(tmp_path) -> None:
    """Lightning's own monitor has the rate of every step."""
    monitor = LearningRateMonitor(logging_interval="step")
    logger = CSVLogger(tmp_path)
    recorder, _ = trained(callbacks=[monitor], logger=logger, accumulate_grad_batches=1, log_every_n_steps=1)
    assert logger.experiment.metrics == []
    lines = (tmp_path / "lightning_logs" / "version_0" / "metrics.csv").read_text().splitlines()
    names = lines[0].split(",")
    rows = [dict(zip(names, line.split(","), strict=True)) for line in lines[1:]]
    logged = [float(row["lr-SGD"]) for row in rows if row["lr-SGD"]]
    assert logged == list(recorder.rates.values())


def test_validations_that_do_not_count() -> None:
    """The sanity check, and a validation that is asked for by itself, change nothing."""
    recorder, trainer = trained(num_sanity_val_steps=2)
    assert recorder.rates == trained(num_sanity_val_steps=0)[0].rates
    scheduler = trainer.lr_scheduler_configs[0].scheduler
    state = copy.deepcopy(scheduler.state_dict())
    trainer.validate(trainer.lightning_module, Data(), verbose=False)
    assert scheduler.state_dict() == state


def test_a_metric_that_is_not_logged() -> None:
    """A misspelt metric is refused at the first validation, with the names that there are."""
    with pytest.raises(InputError, match=r"got metric='val_lass' where it has train_loss, val_loss"):
        quiet_trainer([Observer("val_lass")]).fit(Classifier(), Data())


def test_a_controller_that_nobody_tells() -> None:
    """A schedule that reacts to a metric is refused without an Observer or without validation; a pure one is not."""
    with pytest.raises(InputError, match=r"`callbacks` must have an Observer, because .*plateau.* got none"):
        trained(observer=False)
    with pytest.raises(InputError, match=r"`trainer` must validate, because .*plateau.* got no validation"):
        trained(limit_val_batches=0)
    recorder, _ = trained(Classifier("sgd lr=0.5 linear"), observer=False, limit_val_batches=0)
    assert recorder.rates == by_hand("sgd lr=0.5 linear", {}, UPDATES)


class Foreign(Classifier):
    """With a scheduler of torch."""

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=1.0)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]


class Grouped(Classifier):
    """With an optimizer of its own, whose groups have different rates."""

    def configure_optimizers(self):
        groups = [{"params": [self.body.weight]}, {"params": [self.body.bias], "lr": 4.0}]
        optimizer = torch.optim.SGD(groups, lr=40.0)
        scheduler = Scheduler(optimizer, ps.Recipe.parse(RECIPE).schedule, self.trainer.estimated_stepping_batches)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def test_an_optimizer_of_your_own() -> None:
    """A scheduler of ours on it is told as well, and groups keep their ratio; of others it is said that it is not."""
    recorder, trainer = trained(Grouped())
    assert recorder.rates == by_hand(RECIPE, recorder.metrics, UPDATES)
    weight, bias = trainer.optimizers[0].param_groups
    assert bias["lr"] == pytest.approx(weight["lr"] / 10)
    with pytest.raises(InputError, match=r"must return a scheduler of pacesetter\.connect, got none"):
        trained(Foreign())


def test_a_task_has_the_step_of_the_module() -> None:
    """On a batch the objective gives, to the bit, what `training_step` returns, as a tensor or in a dict."""

    class InDict(Classifier):
        def training_step(self, batch):
            return {"loss": F.cross_entropy(self.body(batch[0]), batch[1]), "more": 1}

    batch = (POINTS[:8], CLASSES[:8])
    for kind in (Classifier, InDict):
        found = task(kind(), Data(), steps=10)
        with torch.no_grad():
            loss = found.objective(found.make_model(), batch)
            assert torch.equal(loss, F.cross_entropy(Classifier().body(batch[0]), batch[1]))

    class Skips(Classifier):
        def training_step(self, batch, batch_idx):
            return None

    found = task(Skips(), Data(), steps=10)
    with pytest.raises(TaskError, match="`training_step` must return the loss of every batch, got NoneType"):
        found.objective(found.make_model(), batch)


def test_a_task_has_what_there_is() -> None:
    """Data, batch sizes, clipping and name are the user's; what is given replaces them."""
    found = task(Classifier(), Data(), quiet_trainer(gradient_clip_val=0.7))
    assert (found.train_source.batch_size, found.valid_source.batch_size) == (8, 6)
    assert (found.train_source.length, found.valid_source.length) == (72, 24)
    assert (found.total_steps, found.clip_norm, found.name) == (UPDATES, 0.7, "Classifier")
    changed = task(Classifier(), Data(), quiet_trainer(), steps=11, accumulate=3, name="mine", evaluations=4)
    assert (changed.total_steps, changed.accumulate, changed.name, changed.evaluations) == (11, 3, "mine", 4)
    assert task(Classifier(), Data(), epochs=2).total_steps == 18
    with pytest.raises(TaskError, match=r"exactly one of `steps` and `epochs` must be given, got neither"):
        task(Classifier(), Data())


def test_a_task_trains_and_leaves_all_as_it_was() -> None:
    """Rates are compared from the module's weights, after a fit too; module, data, Trainer and random state stay."""
    module, data, trainer = Classifier("sgd lr=1e-9 constant"), Data(), quiet_trainer(max_epochs=1)
    trainer.fit(module, data)
    kept = vars(data).copy(), copy.deepcopy(module.state_dict()), torch.get_rng_state()
    found = task(module, data, quiet_trainer(accumulate_grad_batches=1), evaluations=3)
    study = ps.compare(found, lr=[1e-6, 0.5], optimizers=["sgd"], seeds=2)
    slow, fast = ([record.curve.valid_loss[-1] for record in study.lanes if record.lane.lr == lr] for lr in (1e-6, 0.5))
    assert max(fast) < min(slow) - 0.1
    assert slow[0] == pytest.approx(slow[1], abs=1e-4)
    assert vars(data) == kept[0]
    assert all(torch.equal(kept[1][name], value) for name, value in module.state_dict().items())
    assert torch.equal(kept[2], torch.get_rng_state())
    assert module.trainer is trainer
    assert "log" not in vars(module)


def with_own(base, name):
    """A class whose hook of this name is its own."""
    return type(f"Own{base.__name__}", (base,), {name: lambda self, *args, **kwargs: None})


def test_what_no_task_can_have_is_refused() -> None:
    """Each in the one grammar, with what to do."""
    manual = Classifier()
    manual.automatic_optimization = False
    two = with_own(Data, "train_dataloader")()
    two.train_dataloader = lambda: [DataLoader(Data, 8), DataLoader(Data, 8)]
    refused = [
        (r"`automatic_optimization` must be on for a task", manual, Data(), None),
        (r"`optimizer_step` must be as Lightning has it", with_own(Classifier, "optimizer_step")(), Data(), None),
        (r"`on_after_batch_transfer` .* got OwnData", Classifier(), with_own(Data, "on_after_batch_transfer")(), None),
        (r"`train_dataloader` must give one DataLoader, got 2 of them: give train=", Classifier(), two, None),
        (r"`module` must be a LightningModule .* got torch\.nn\.modules\.linear\.Linear", manual.body, Data(), None),
        (r"`datamodule` must be a LightningDataModule .* got builtins\.list", Classifier(), [], None),
        (
            r"`gradient_clip_algorithm` must be 'norm'",
            Classifier(),
            Data(),
            quiet_trainer(gradient_clip_val=1.0, gradient_clip_algorithm="value"),
        ),
    ]
    for message, module, data, trainer in refused:
        with pytest.raises(TaskError, match=message):
            task(module, data, trainer, steps=10)


@pytest.mark.parametrize("missing", ["lightning", "torch"])
def test_the_line_that_installs_what_is_missing(missing) -> None:
    """Without the package the import says how to get it."""
    code = f"import sys; sys.modules[{missing!r}] = None; import pacesetter.connect.lightning"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"MissingPackage: `{missing}` is needed for" in done.stderr
    assert "pip install 'pacesetter[" in done.stderr


@pytest.mark.filterwarnings("ignore:Starting from v1.9.0, `tensorboardX` has been removed:UserWarning")
@pytest.mark.filterwarnings("ignore:The number of training batches .* is smaller than the logging interval:UserWarning")
def test_the_page_runs(tmp_path, monkeypatch) -> None:
    """The code of the documentation runs from top to bottom, and answers."""
    monkeypatch.chdir(tmp_path)
    names = {"ps": ps, "pacesetter": ps, "torch": torch, "F": F, "data": Data()}
    for code in page_of("Lightning"):
        exec(code, names)
    assert names["trainer"].lr_scheduler_configs[0].scheduler.last_epoch == UPDATES
    assert isinstance(names["answer"], ps.Answer)
    grouped = type("Grouped", (names["Classifier"],), {"configure_optimizers": names["configure_optimizers"]})
    _, trainer = trained(grouped())
    weight, bias = trainer.optimizers[0].param_groups
    assert bias["initial_lr"] == 10 * weight["initial_lr"]


def test_examples_of_the_docstrings() -> None:
    """What the docstrings show is what happens."""
    done = doctest.testmod(sys.modules["pacesetter.connect.lightning"])
    assert (done.failed, done.attempted) == (0, 3)
