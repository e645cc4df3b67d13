"""The connector of transformers: rates, checkpoints, what controllers are told, and tasks made of a Trainer."""

import copy
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from torch.utils.data import Dataset
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

import pacesetter as ps
from pacesetter import schedules
from pacesetter.connect.torch import Scheduler
from pacesetter.connect.transformers import Observer, drive, task
from pacesetter.errors import InputError, TaskError
from tests.docs.blocks import ROOT, blocks

RECIPE = "sgd lr=2.0 warmup(5) >> cosine * plateau(factor=0.5, patience=0)"
UPDATES = 15
"""Of 72 rows in batches of 8, two to an update, for 3 epochs: the last update of each epoch has one batch."""

pytestmark = pytest.mark.filterwarnings(
    # The Trainer's loaders ask for pinned memory by default, whether there is a GPU to read it or not.
    "ignore:'pin_memory' argument is set as true but no accelerator is found:UserWarning"
)


class Rows(Dataset):
    """Words of which the first says the class, and a column that the model does not take."""

    def __init__(self, count):
        self.words = torch.randint(2, 20, (count, 6), generator=torch.Generator().manual_seed(count))
        self.classes = (self.words[:, 0] > 10).long()

    def __len__(self):
        return len(self.words)

    def __getitem__(self, row):
        return {"input_ids": self.words[row], "labels": self.classes[row], "source": "made up"}


class Sentences(Dataset):
    """Words to be continued, some of which do not count."""

    def __len__(self):
        return 24

    def __getitem__(self, row):
        words = torch.arange(6) + row % 7
        return {"input_ids": words, "labels": torch.where(torch.arange(6) < row % 3, -100, words)}


def classifier():
    """A tiny BERT, the same each time."""
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    torch.manual_seed(0)
    return BertForSequenceClassification(BertConfig(vocab_size=20, max_position_embeddings=8, num_labels=2, **sizes))


def language_model():
    """A tiny GPT-2, the same each time."""
    torch.manual_seed(0)
    sizes = {"n_positions": 8, "n_embd": 8, "n_layer": 1, "n_head": 2}
    return GPT2LMHeadModel(GPT2Config(vocab_size=20, bos_token_id=0, eos_token_id=1, **sizes))


def page_of(title):
    """The code of one section of the page on frameworks."""
    page = ROOT / "docs" / "frameworks.md"
    section = page.read_text(encoding="utf-8").partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return [code for code in blocks(page, "python") if code in section]


class Interrupted(Exception):
    """What ends a training half way."""


class Recorder(TrainerCallback):
    """The rate of each update, as the optimizer has it; may interrupt the training after some."""

    def __init__(self, stop=None):
        self.rates = {}
        self.stop = stop

    def on_pre_optimizer_step(self, args, state, control, optimizer=None, **kwargs):
        if state.global_step == self.stop:
            raise Interrupted
        self.rates[state.global_step] = optimizer.param_groups[0]["lr"]


@pytest.fixture
def make(tmp_path):
    """Makes a Trainer that is quiet, trains for a moment and evaluates every second update."""

    def made(model=None, callbacks=(), kind=Trainer, data=None, **changes):
        settings = {
            "num_train_epochs": 3,
            "per_device_train_batch_size": 8,
            "gradient_accumulation_steps": 2,
            "eval_strategy": "steps",
            "eval_steps": 2,
            "save_strategy": "steps",
            "save_steps": 2,
            "logging_steps": 1,
            "report_to": [],
            "use_cpu": True,
            "disable_tqdm": True,
        }
        parts = {"train_dataset": Rows(72), "eval_dataset": Rows(20), **(data or {})}
        if "model_init" not in parts:
            parts["model"] = model or classifier()
        args = TrainingArguments(str(tmp_path), **{**settings, **changes})
        return kind(args=args, callbacks=list(callbacks), **parts)

    return made


def by_hand(recipe, evaluations, count):
    """The rate of each update, from the schedule alone and {updates made: metric}."""
    recipe = ps.Recipe.parse(recipe)
    state, rates = recipe.schedule.init(), {}
    for step in range(count):
        if step in evaluations:
            state = recipe.schedule.update(state, evaluations[step], step, count)
        rates[step] = recipe.lr * recipe.schedule.factor(state, step, count)
    return rates


def evaluations(trainer, metric="eval_loss"):
    """{updates made: metric}, as the Trainer logged it."""
    return {entry["step"]: entry[metric] for entry in trainer.state.log_history if metric in entry}


def trained(make, stop=None, resume=None, recipe=RECIPE, **changes):
    """The Trainer, and the rate of each of its updates."""
    recorder = Recorder(stop)
    trainer = make(callbacks=[recorder], **changes)
    drive(trainer, recipe)
    if stop is None:
        trainer.train(resume_from_checkpoint=resume)
    else:
        with pytest.raises(Interrupted):
            trainer.train()
    return trainer, recorder.rates


def test_warm_up_and_plateau_resumed_from_a_checkpoint(make, tmp_path) -> None:
    """Interrupted and resumed in fresh objects, every update runs at the rate of the schedule by hand."""
    whole, rates = trained(make)
    assert rates == by_hand(RECIPE, evaluations(whole), UPDATES)
    reduced = [by_hand(RECIPE, {}, UPDATES)[k] / rate for k, rate in rates.items()]
    assert max(reduced) > 1, "the metric never made the plateau react, so that this test says nothing"
    for stop in (9, 13):
        _, first = trained(make, stop=stop)
        last = tmp_path / f"checkpoint-{stop // 2 * 2}"
        saved = torch.load(last / "scheduler.pt", weights_only=True)
        assert saved["schedule"] == "warmup(5) >> cosine * plateau(factor=0.5, patience=0)"
        resumed, second = trained(make, resume=str(last))
        assert first | second == rates
        assert min(second) == stop // 2 * 2
        assert evaluations(resumed) == evaluations(whole)


def test_rates_in_the_log_are_the_rates_of_the_updates(make) -> None:
    """What the Trainer logs for an update is the rate that it was made at."""
    trainer, rates = trained(make, eval_strategy="epoch")
    logged = {e["step"] - 1: e["learning_rate"] for e in trainer.state.log_history if "learning_rate" in e}
    assert logged == pytest.approx(rates)


def test_accumulated_batches_are_one_step(make) -> None:
    """The schedule advances once for each update, however many batches it is of, and ends with the training."""
    for accumulate, updates in ((1, 27), (2, 15), (4, 9), (100, 3)):
        changes = {"gradient_accumulation_steps": accumulate, "save_strategy": "no"}
        trainer, rates = trained(make, recipe="sgd lr=0.5 warmup(0.2) >> linear", **changes)
        assert rates == by_hand("sgd lr=0.5 warmup(0.2) >> linear", {}, updates)
        assert trainer.lr_scheduler.total_steps == trainer.lr_scheduler.last_epoch == updates
    trainer, _ = trained(make, max_steps=7, save_strategy="no")
    assert trainer.lr_scheduler.total_steps == 7


def test_a_longer_training_goes_on_from_a_shorter_one(make, tmp_path) -> None:
    """A checkpoint of 3 epochs resumed for 5 runs at the rates that a training of 5 has from there."""
    recipe = "sgd lr=0.5 warmup(0.2) >> linear"
    trained(make, stop=13, recipe=recipe)
    _, rates = trained(make, resume=str(tmp_path / "checkpoint-12"), recipe=recipe, num_train_epochs=5)
    assert rates == {k: rate for k, rate in by_hand(recipe, {}, 25).items() if k >= 12}


def by_the_constructor(make, schedule, total_steps, metric="eval_loss", **changes):
    """A Trainer that was given optimizer, scheduler and callback when it was made."""
    model = classifier()
    optimizer = torch.optim.SGD(model.parameters(), lr=2.0)
    parts = {"optimizers": (optimizer, Scheduler(optimizer, schedule, total_steps)), **changes.pop("data", {})}
    recorder = Recorder()
    trainer = make(model, [recorder, Observer(metric)], data=parts, save_strategy="no", **changes)
    return trainer, recorder


def test_parts_for_the_constructor(make) -> None:
    """Optimizer, scheduler and callback given to `Trainer(...)` train as `drive` does."""
    trainer, recorder = by_the_constructor(make, ps.Recipe.parse(RECIPE).schedule, UPDATES)
    trainer.train()
    assert recorder.rates == trained(make)[1]


def test_one_of_several_data_sets_is_listened_to(make) -> None:
    """Where several data sets are evaluated, the metric of one is told, once for each evaluation."""
    sets = {"eval_dataset": {"near": Rows(20), "far": Rows(21)}}
    trainer, recorder = by_the_constructor(make, RECIPE.partition("lr=2.0 ")[2], UPDATES, "eval_far_loss", data=sets)
    trainer.train()
    assert recorder.rates == by_hand(RECIPE, evaluations(trainer, "eval_far_loss"), UPDATES)


def test_evaluations_that_do_not_count(make) -> None:
    """The one before the first update, and those that are asked for outside of a training, change nothing."""
    trainer, rates = trained(make, eval_on_start=True, save_strategy="no")
    seen = {step: metric for step, metric in evaluations(trainer).items() if step > 0}
    assert rates == by_hand(RECIPE, seen, UPDATES)
    state = copy.deepcopy(trainer.lr_scheduler.state_dict())
    trainer.evaluate()
    assert trainer.lr_scheduler.state_dict() == state


def test_inside_accelerates_wrapper() -> None:
    """A scheduler that accelerate has wrapped is told as well."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(2))], lr=1.0)
    scheduler = Scheduler(optimizer, "plateau(factor=0.5, patience=0)", 10)
    args, state = SimpleNamespace(eval_strategy="steps"), SimpleNamespace(global_step=0, max_steps=10)
    observer, wrapped = Observer("eval_loss"), SimpleNamespace(scheduler=scheduler)
    observer.on_train_begin(args, state, None, lr_scheduler=wrapped)
    for state.global_step in (1, 2):
        observer.on_evaluate(args, state, None, lr_scheduler=wrapped, metrics={"eval_loss": 1.0})
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_a_metric_that_is_not_reported(make) -> None:
    """A misspelt metric is refused after the first evaluation, with the names that there are."""
    trainer, _ = by_the_constructor(make, "plateau", UPDATES, "eval_lass")
    with pytest.raises(InputError, match=r"got metric='eval_lass' where it has eval_loss, eval_runtime"):
        trainer.train()
    assert trainer.state.global_step == 2


def test_a_controller_without_evaluations(make) -> None:
    """A schedule that reacts to a metric is refused where none is measured; a pure one is not."""
    trainer, _ = by_the_constructor(make, "warmup(5) >> plateau", UPDATES, eval_strategy="no")
    with pytest.raises(InputError, match=r"got eval_strategy='no': give 'epoch' or 'steps'"):
        trainer.train()
    trainer, recorder = by_the_constructor(make, "warmup(5) >> linear", UPDATES, eval_strategy="no")
    trainer.train()
    assert recorder.rates == by_hand("sgd lr=2.0 warmup(5) >> linear", {}, UPDATES)


def test_a_scheduler_of_another_length_is_named(make) -> None:
    """A schedule of batches where updates are counted is warned of, and trains as it is."""
    trainer, recorder = by_the_constructor(make, "linear", 27)
    with pytest.warns(UserWarning, match=r"number of updates that the Trainer makes, 15, got total_steps=27"):
        trainer.train()
    assert recorder.rates == {k: 2.0 * schedules.linear()(k, 27) for k in range(UPDATES)}


def test_a_scheduler_of_others_is_refused(make) -> None:
    """The callback says that the Trainer's own scheduler is told nothing."""
    with pytest.raises(InputError, match=r"must be one of pacesetter\.connect\.torch .* got LambdaLR"):
        make(callbacks=[Observer()]).train()


def test_trainers_that_cannot_be_driven(make) -> None:
    """One with an optimizer, or that makes its model anew, is refused before anything changes."""
    trainer = make()
    drive(trainer, "adamw lr=1e-3 linear")
    with pytest.raises(InputError, match=r"`trainer` must be one that has no optimizer yet, got one that has"):
        drive(trainer, "adamw lr=1e-3 linear")
    trainer = make(data={"model_init": classifier})
    with pytest.raises(InputError, match=r"got one with `model_init`"):
        drive(trainer, "adamw lr=1e-3 linear")
    assert trainer.optimizer is None


def sum_over_count(outputs, labels, num_items_in_batch=None):
    """A loss as people give it to `compute_loss_func`."""
    total = torch.nn.functional.cross_entropy(outputs["logits"], labels, reduction="sum")
    return 3 * total / num_items_in_batch


@pytest.mark.parametrize("name", ["plain", "smoothed", "smoothed language", "function"])
def test_a_task_has_the_loss_of_the_trainer(make, name) -> None:
    """On a batch of the training data the objective gives, to the bit, what the Trainer's step computes."""
    data, changes, model = {}, {"gradient_accumulation_steps": 1}, classifier()
    if name.startswith("smoothed"):
        changes["label_smoothing_factor"] = 0.1
    if name == "smoothed language":
        model, data = language_model(), {"train_dataset": Sentences(), "eval_dataset": Sentences()}
    if name == "function":
        data["compute_loss_func"] = sum_over_count
    trainer = make(model, data=data, **changes)
    made = task(trainer)
    (batch, *_) = made.train_source.loader(torch.Generator().manual_seed(0))
    assert "source" not in batch
    model.eval()
    with torch.no_grad():
        count = batch["labels"].ne(-100).sum()
        theirs = trainer.compute_loss(model, dict(batch), num_items_in_batch=count if name == "function" else None)
        assert torch.equal(made.objective(model, batch), theirs)


def test_a_task_has_what_the_trainer_has(make) -> None:
    """Batch sizes, length, accumulation, clipping and data are the Trainer's; what is given replaces them."""
    made = task(make(per_device_eval_batch_size=5, max_grad_norm=0.7))
    assert (made.train_source.batch_size, made.valid_source.batch_size) == (8, 5)
    assert (made.train_source.length, made.valid_source.length) == (72, 20)
    assert (made.total_steps, made.accumulate, made.clip_norm) == (UPDATES, 2, 0.7)
    assert made.train_source.batches_per_epoch == 9
    assert made.name == "BertForSequenceClassification"
    changed = task(make(max_steps=11, max_grad_norm=0.0), evaluations=4, name="mine", accumulate=1)
    assert (changed.total_steps, changed.clip_norm, changed.evaluations, changed.name) == (11, None, 4, "mine")
    assert changed.accumulate == 1
    assert task(make(), epochs=2).total_steps == 9
    assert task(make(data={"eval_dataset": None}, eval_strategy="no")).valid_source.length == 14


def test_a_task_leaves_the_trainer_as_it_was(make) -> None:
    """Making a task and comparing rates with it changes no weights, attributes, random state or training."""
    trainer, recorder = make(), Recorder()
    model, before = trainer.model, dict(vars(trainer))
    weights = copy.deepcopy(model.state_dict())
    random = torch.get_rng_state()
    made = task(trainer, steps=4, evaluations=2)
    ps.compare(made, lr=[0.01, 0.1], optimizers=["sgd"], seeds=1)
    assert torch.equal(torch.get_rng_state(), random)
    assert vars(trainer) == before
    assert trainer.accelerator._dataloaders == []
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())
    drive(trainer, RECIPE)
    trainer.add_callback(recorder)
    trainer.train()
    assert recorder.rates == trained(make)[1]


def losses(study, lr):
    """The validation losses of a rate, seed by seed."""
    return [record.curve.valid_loss[-1] for record in study.lanes if record.lane.lr == lr]


def test_a_task_finds_what_trains(make) -> None:
    """Runs start from the Trainer's weights and learn; with `model_init` each seed has its own."""
    made = task(make(max_steps=60, gradient_accumulation_steps=1), evaluations=3)
    study = ps.compare(made, lr=[1e-6, 1e-2], optimizers=["adam"], seeds=2)
    slow, fast = (losses(study, lr) for lr in (1e-6, 1e-2))
    assert max(fast) < min(slow) - 0.1
    assert slow[0] == pytest.approx(slow[1], abs=1e-3)
    anew = task(make(data={"model_init": fresh}, max_steps=2), evaluations=1)
    first, second = losses(ps.compare(anew, lr=[1e-9], optimizers=["sgd"], seeds=2), 1e-9)
    assert abs(first - second) > 1e-4


CONFIG = classifier().config


def fresh():
    """A classifier of the seed that reigns."""
    return BertForSequenceClassification(CONFIG)


class OwnLoss(Trainer):
    """A Trainer with a loss of its own."""

    def compute_loss(self, model, inputs, **kwargs):
        return super().compute_loss(model, inputs, **kwargs) * 2


def test_what_no_task_can_have_is_refused(make) -> None:
    """Each in the one grammar, with what to do; an objective in place of an own loss is taken."""
    refused = {
        r"leave its compute_loss as it is, got OwnLoss with its own: give objective=": make(kind=OwnLoss),
        r"have a train_dataset, got none": make(data={"train_dataset": None}),
        r"have one eval_dataset, got a, b": make(data={"eval_dataset": {"a": Rows(8), "b": Rows(9)}}),
        r"not add noise .* got neftune_noise_alpha=5": make(neftune_noise_alpha=5),
    }
    for message, trainer in refused.items():
        with pytest.raises(TaskError, match="`trainer` must " + message):
            task(trainer)
    with pytest.raises(TaskError, match=r"must be a transformers\.Trainer, got str"):
        task("bert")
    own = task(make(kind=OwnLoss), objective=lambda model, batch: 2 * model(**batch).loss)
    assert own.total_steps == UPDATES
    mixed = make(bf16=True, save_strategy="no", max_steps=1)
    mixed.train()
    with pytest.raises(TaskError, match=r"must not have trained in mixed precision yet"):
        task(mixed)


@pytest.mark.parametrize("missing", ["transformers", "torch"])
def test_the_line_that_installs_what_is_missing(missing) -> None:
    """Without the package the import says how to get it."""
    code = f"import sys; sys.modules[{missing!r}] = None; import pacesetter.connect.transformers"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"MissingPackage: `{missing}` is needed for" in done.stderr
    assert "pip install 'pacesetter[" in done.stderr


def test_the_page_runs(make) -> None:
    """The code of the documentation runs from top to bottom, and answers."""
    trainer = make(max_steps=9)
    names = {"ps": ps, "pacesetter": ps, "torch": torch, "model": trainer.model, "args": trainer.args}
    names |= {"train": trainer.train_dataset, "valid": trainer.eval_dataset}
    for code in page_of("transformers"):
        exec(code, names)
    assert names["scheduler"].last_epoch == 9
    assert isinstance(names["answer"], ps.Answer)
