"""What an optimizer step and an image cost with a technique, measured here and now."""

import statistics
import time
from collections.abc import Callable

import torch

from effcnn import models
from effcnn.data import Data, Split, normalise
from effcnn.recipe import Recipe
from effcnn.train import Trainer, build, evaluate


def step_seconds(
    recipes: dict[str, Recipe],
    repeats: int = 5,
    *,
    device: str = "cpu",
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Median seconds of an optimizer step of each recipe, on random images.

    The recipes take turns, so that a machine that slows down slows all of them down. The first
    turn is a warm-up and does not count. A step is batch, augmentation, techniques, forward,
    backward and update; evaluation is not part of it. The median leaves out what happens in fewer
    than half of the steps, such as the second passes of `sam(interval=3)`.

    Args:
        recipes: by any name.
        repeats: turns that count.
    """
    trainers = {name: Trainer(recipe, _random(recipe), device) for name, recipe in recipes.items()}
    seconds: dict[str, list[float]] = {name: [] for name in recipes}
    for _ in range(repeats + 1):
        for name, trainer in trainers.items():
            trainer.model.train()
            batch = torch.arange(trainer.recipe.batch_size, device=trainer.device)
            _wait(trainer.device)
            started = clock()
            trainer.step(batch, 0)
            _wait(trainer.device)
            seconds[name].append(clock() - started)
    return {name: statistics.median(times[1:]) for name, times in seconds.items()}


def latencies(
    recipes: dict[str, Recipe], repeats: int = 5, *, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Median seconds of a forward pass of 100 random images through each recipe's net, in turns.

    The nets have fresh weights, which cost the same as trained ones. The first turn is a warm-up.
    """
    nets = {name: build(recipe)[0].eval() for name, recipe in recipes.items()}
    contents = {name: _random(recipe, 100) for name, recipe in recipes.items()}
    seconds: dict[str, list[float]] = {name: [] for name in recipes}
    with torch.inference_mode():
        for _ in range(repeats + 1):
            for name, net in nets.items():
                content = contents[name]
                images = normalise(content.test.images, content.mean, content.std)
                started = clock()
                for _ in range(5):
                    net(images)
                seconds[name].append((clock() - started) / 5)
    return {name: statistics.median(times[1:]) for name, times in seconds.items()}


def image_seconds(
    recipe: Recipe, device: str = "cpu", *, clock: Callable[[], float] = time.perf_counter
) -> tuple[float, float]:
    """Seconds that training and testing take per image, from about a second of each recipe.

    The mean of at least 12 steps, so that what happens in every few steps counts too.
    """
    images = max(1000, recipe.batch_size)
    trainer = Trainer(recipe, content := _random(recipe, images), device)
    trainer.model.train()
    batch = torch.arange(recipe.batch_size, device=trainer.device)

    def once(work: Callable[[], object]) -> float:
        started = clock()
        work()
        _wait(trainer.device)
        return clock() - started

    steps: list[float] = []
    while len(steps) < 15 or sum(steps) < 0.5:
        steps.append(once(lambda: trainer.step(batch, 0)))
    tests = [once(lambda: evaluate(trainer.model, content.test, content)) for _ in range(3)]
    return statistics.mean(steps[3:]) / recipe.batch_size, min(tests) / images


def _random(recipe: Recipe, images: int | None = None) -> Data:
    """Noise in the size of the recipe's images (default: one batch): what it shows is no matter."""
    traits = models.FAMILIES[models.family(recipe.dataset)]
    shape = (images or recipe.batch_size, traits.channels, traits.size, traits.size)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, shape, dtype=torch.uint8, generator=generator)
    labels = torch.randint(traits.classes, shape[:1], generator=generator)
    half = (0.5,) * traits.channels
    return Data(Split(images, labels), None, Split(images, labels), half, half)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
