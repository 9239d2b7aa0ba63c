"""The training loop. It knows hooks, not techniques; `effcnn.techniques` says what they are."""

import copy
import math
import time
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from effcnn import models, techniques
from effcnn.augment import augment
from effcnn.data import Data, Split, normalise
from effcnn.device import compile_whole
from effcnn.errors import UserError
from effcnn.recipe import Recipe


def build(recipe: Recipe, device: torch.device | str = "cpu") -> tuple[nn.Module, list, dict]:
    """The net of a recipe with fresh weights, drawn from its seed and changed by its techniques.

    Returns: the net, its techniques as objects with hooks, and the layers that each one changed.
    """
    hooks = techniques.create(recipe.techniques)
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed: that seeds the generators of all devices, for good.
        torch.default_generator.manual_seed(recipe.seed)
        model = models.build(models.family(recipe.dataset), recipe.model)
        touched = {hook.spec.short: names for hook in hooks if (names := hook.change_model(model))}
    return model.to(device, memory_format=torch.channels_last), hooks, touched


class Trainer:
    """A training under way: `run()` it, or `epoch()` by epoch.

    Every random draw comes from generators seeded by the recipe: on one machine, with one number
    of threads, the same recipe gives the same bits.

    Args:
        compiled: let torch.compile speed it up; the same up to rounding. On the CPU only the layers
            of `effcnn.fused`, for it gains nothing on the rest.

    Attributes:
        model: the net, in training.
        history: one entry per finished epoch.
        status: finished, or diverged where the loss stopped being a number.
        seconds, images_seen: spent in and put through optimizer steps, without validation; the
            seconds also without the step in which the compiler ran.
    """

    def __init__(
        self,
        recipe: Recipe,
        data: Data,
        device: torch.device | str = "cpu",
        *,
        compiled: bool = False,
    ) -> None:
        recipe.check()
        self.recipe, self.data, self.device = recipe, data, torch.device(device)
        self.model, self.hooks, self.touched = build(recipe, device)
        self.loss_function = F.cross_entropy
        self.optimizer = make_optimizer(recipe, self.model)
        for hook in self.hooks:
            self.loss_function = hook.wrap_loss(self.loss_function)
            self.optimizer = hook.wrap_optimizer(self.optimizer, self.model)
        self.forward, self.compiles = self._forward, compiled
        if compiled and self.device.type == "cpu":
            from effcnn.fused import fuse  # here, for the compiler takes long to import

            fuse(self.model)
        elif compiled:
            self.forward = compile_whole(self._forward)
        self.images = data.train.images.to(self.device)
        self.labels = data.train.labels.to(self.device)
        self.classes = models.FAMILIES[models.family(recipe.dataset)].classes
        # An incomplete last batch is left out: its noise would weigh as much as a full one's.
        self.steps = len(self.images) // recipe.batch_size  # per epoch
        self.augment = tuple(filter(None, recipe.augment.split(",")))
        self.order = torch.Generator().manual_seed(recipe.seed)
        self.draws = torch.Generator(self.device).manual_seed(recipe.seed + 2**32)
        self.history: list[dict] = []
        self.status, self.seconds, self.images_seen = "finished", 0.0, 0

    def run(
        self,
        on_step: Callable[[int, Tensor, Tensor], None] = lambda step, loss, correct: None,
        on_epoch: Callable[[dict], None] = lambda entry: None,
    ) -> "Trainer":
        """Train all epochs, or until the loss stops being a number.

        Args:
            on_step: called after every step with its number in the epoch (from 1), and the sums
                of losses and of right answers in this epoch so far, as tensors on the device.
            on_epoch: called with the new entry of `history` after every epoch.
        """
        while self.status == "finished" and len(self.history) < self.recipe.epochs:
            on_epoch(self.epoch(on_step))
        if self.status == "finished":
            for hook in self.hooks:
                hook.finish(self.model, self.clean_batches)
        return self

    def epoch(self, on_step) -> dict:
        """One pass over the training images, then validation; returns its entry of `history`."""
        number, epochs = len(self.history) + 1, self.recipe.epochs
        self.model.train()
        started = time.perf_counter()
        loss_sum, correct = torch.zeros((2,), device=self.device)
        order = torch.randperm(len(self.images), generator=self.order).to(self.device)
        for i, batch in enumerate(order.split(self.recipe.batch_size)[: self.steps]):
            loss, right = self.step(batch, (number - 1) * self.steps + i)
            loss_sum += loss
            correct += right
            on_step(i + 1, loss_sum, correct)
            if self.compiles:  # in its first step, which says nothing of the speed
                started, self.compiles = time.perf_counter(), False
        seen = self.steps * self.recipe.batch_size
        entry = {
            "epoch": number,
            "lr": self.optimizer.param_groups[0]["lr"],
            "loss": loss_sum.item() / self.steps,
            "accuracy": 100 * correct.item() / seen,
        }
        self.seconds += time.perf_counter() - started  # `item` has waited for the device
        self.images_seen += seen
        if not math.isfinite(entry["loss"]):
            self.status, entry["loss"] = "diverged", None
        for hook in self.hooks:
            hook.end_epoch(self.model, number, epochs)
        if self.data.validation and self.status == "finished":
            scores = evaluate(self.model, self.data.validation, self.data)
            if math.isfinite(scores["loss"]):
                entry["validation_loss"] = scores["loss"]
                entry["validation_accuracy"] = scores["accuracy"]
            else:  # the epoch's last step was one too many
                self.status = "diverged"
        self.history.append(entry)
        return entry

    def step(self, batch: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """One optimizer step on the images `batch` (N,); returns its loss and right answers."""
        images, labels = self.images[batch], self.labels[batch]
        images = normalise(augment(images, self.augment, self.draws), self.data.mean, self.data.std)
        targets = F.one_hot(labels, self.classes).float()  # (N, K)
        for hook in self.hooks:
            images, targets = hook.change_batch(images, targets, self.draws)
            rate = hook.learning_rate(number, self.steps * self.recipe.epochs)
            if rate is not None:
                for group in self.optimizer.param_groups:
                    group["lr"] = rate
        passes = []

        def closure() -> Tensor:  # because some optimizers look at the loss twice in a step
            self.optimizer.zero_grad()
            loss, logits = self.forward(images, targets)
            loss.backward()
            passes.append((loss.detach(), logits))
            return loss

        self.optimizer.step(closure)
        loss, logits = passes[0]
        return loss, (logits.argmax(1) == labels).sum()

    def _forward(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The loss, and the logits (N, K)."""
        with torch.autocast(self.device.type, torch.bfloat16, self.recipe.precision == "bf16"):
            logits = self.model(images)
        return self.loss_function(logits.float(), targets), logits.detach()

    def state_dict(self) -> dict:
        """Between two epochs: all that a training needs to go on, to the bit, in a new `Trainer`.

        Provided that nothing in it draws from PyTorch's global generators, as dropout does.

        Tensors, numbers, text, and lists and dicts of those. The tensors are not copies: store
        them before training goes on.
        """
        return {
            "recipe": self.recipe.json(),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "techniques": {hook.spec.short: hook.state_dict() for hook in self.hooks},
            "generators": {"order": self.order.get_state(), "draws": self.draws.get_state()},
            "history": [dict(entry) for entry in self.history],
            "status": self.status,
            "seconds": self.seconds,
            "images_seen": self.images_seen,
        }

    def load_state_dict(self, state: dict) -> None:
        """Go on where another trainer of this recipe stood. Raises `UserError` for another's."""
        if state["recipe"] != self.recipe.json():
            raise UserError("this state is of another recipe")
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))  # it would keep these
        # A file may not keep the order in memory, along which the fused optimizers walk.
        for parameter, values in self.optimizer.state.items():
            for name, value in values.items():
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    values[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
        for hook in self.hooks:
            hook.load_state_dict(state["techniques"][hook.spec.short], self.model)
        self.order.set_state(state["generators"]["order"].cpu())
        self.draws.set_state(state["generators"]["draws"].cpu())
        self.history = [dict(entry) for entry in state["history"]]
        self.status = state["status"]
        self.seconds, self.images_seen = state["seconds"], state["images_seen"]

    def clean_batches(self) -> Iterator[Tensor]:
        """The training images once, in order, normalised and not augmented: (N, C, H, W) each."""
        for images in self.images.split(self.recipe.batch_size):
            yield normalise(images, self.data.mean, self.data.std)


def make_optimizer(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum 0.9, Adam or AdamW, with weight decay on every parameter."""
    # Where a technique sets the rate it does so before the first step.
    common = {"lr": recipe.lr or 0.0, "weight_decay": recipe.weight_decay, "fused": True}
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), momentum=0.9, nesterov=True, **common)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimizer]
    return kind(model.parameters(), **common)


@torch.no_grad()
def evaluate(model: nn.Module, split: Split, data: Data, batch_size: int = 1000) -> dict:
    """Test in float32, one view per image.

    Returns: accuracy (percent), loss (plain cross-entropy), and per image answer (uint8) and
        confidence (float16, the probability of the answer), as tensors on the CPU.
    """
    device = next(model.parameters()).device
    model.eval()
    logits = torch.cat(
        [
            model(normalise(images.to(device), data.mean, data.std)).float().cpu()
            for images in split.images.split(batch_size)
        ]
    )
    confidence, answer = logits.softmax(1).max(1)
    return {
        "accuracy": 100 * (answer == split.labels).sum().item() / len(answer),
        "loss": F.cross_entropy(logits.double(), split.labels).item(),
        "answer": answer.to(torch.uint8),
        "confidence": confidence.half(),
    }
