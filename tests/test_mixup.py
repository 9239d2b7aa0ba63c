"""Mixup: the weight and its distribution, the partners, the loss, and one draw per step."""

import itertools
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from scipy import stats

from effcnn import techniques
from effcnn.data import normalise
from effcnn.errors import UserError
from effcnn.techniques.mixup import draw_mixup, mixup, mixup_batch
from effcnn.train import Trainer, evaluate


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def noise(*shape, dtype=torch.float64):
    return torch.randn(shape, dtype=dtype, generator=generator(9))


def batch(n=7, classes=10):
    return noise(n, 3, 5, 4), (3 * noise(n, classes)).softmax(1)


def weights(alpha, draws=4000):
    rng = generator()
    return [draw_mixup(3, alpha, rng)[0] for _ in range(draws)]


@pytest.mark.parametrize("n", [1, 2, 5, 16])
def test_images_and_targets_are_mixed_alike(n):
    eye = torch.eye(n, dtype=torch.float64)
    for seed in range(20):
        lam, partners = draw_mixup(n, 1.0, generator(seed))
        assert sorted(partners.tolist()) == list(range(n))
        images, targets = mixup_batch(eye.view(n, n, 1, 1), eye, 1.0, generator=generator(seed))
        assert torch.equal(images.flatten(1), targets)  # the label is in the pixels
        for i, j in enumerate(partners.tolist()):
            expected = {j: 1 - lam, i: lam} if i != j else {i: 1.0}
            assert {k: targets[i, k].item() for k in expected} == pytest.approx(expected)
            assert targets[i].count_nonzero() == len(expected)


@pytest.mark.parametrize("lam", [0.0, 0.3, 0.5, 0.9, 1.0])
def test_against_a_slow_loop(lam):
    images, targets = batch()
    partners = torch.tensor([3, 1, 0, 2, 6, 4, 5])
    mixed, soft = mixup(images, targets, lam, partners)
    for i, j in enumerate(partners.tolist()):
        for x, y in [(images, mixed), (targets, soft)]:
            torch.testing.assert_close(y[i], lam * x[i] + (1 - lam) * x[j], rtol=0, atol=1e-14)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_both_ends_are_exact_and_the_form_is_kept(layout, dtype):
    images = (noise(5, 3, 7, 4) * 10.0 ** noise(5, 3, 7, 4)).to(dtype).to(memory_format=layout)
    targets, partners = batch(5)[1].to(dtype), torch.tensor([1, 2, 0, 4, 3])
    kept = images.clone(), targets.clone()
    for lam, whose in [(1.0, torch.arange(5)), (0.0, partners), (0.6, None)]:
        mixed, soft = mixup(images, targets, lam, partners)
        assert mixed.is_contiguous(memory_format=layout)
        assert (mixed.dtype, soft.dtype) == (dtype, dtype)
        if whose is not None:
            assert torch.equal(mixed, images[whose])
            assert torch.equal(soft, targets[whose])
        assert torch.equal(images, kept[0])
        assert torch.equal(targets, kept[1])


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_the_weight_has_a_beta_distribution(alpha):
    draws = weights(alpha)
    assert stats.kstest(draws, stats.beta(alpha, alpha).cdf).pvalue > 0.001
    assert min(draws) < 0.4 < 0.6 < max(draws)  # not folded


def test_small_alphas_mix_little():
    draws = torch.tensor(weights(0.2, 10_000), dtype=torch.float64)
    assert ((draws >= 0) & (draws <= 1)).all()  # nor NaN
    assert draws.max() > 1 - 1e-9  # in float32 there is nothing between 1 - 6e-8 and 1
    share = stats.beta(0.01, 0.01).cdf(0.99) - stats.beta(0.01, 0.01).cdf(0.01)
    smallest = weights(0.01, 20_000)
    assert all(0 <= lam <= 1 for lam in smallest)
    between = sum(0.01 < lam < 0.99 for lam in smallest)
    assert stats.binomtest(between, 20_000, share).pvalue > 0.001


def test_every_permutation_equally_often():
    rng = generator()
    drawn = [tuple(draw_mixup(3, 0.2, rng)[1].tolist()) for _ in range(3000)]
    counts = [drawn.count(order) for order in itertools.permutations(range(3))]
    assert sum(counts) == 3000
    assert stats.chisquare(counts).pvalue > 0.001


def test_alpha_zero_is_the_identity():
    images, targets = batch()
    mixed, soft = mixup_batch(images, targets, 0, generator=generator())
    assert torch.equal(mixed, images)
    assert torch.equal(soft, targets)


def test_the_generator_alone_decides():
    images, targets = batch()
    first, again, other = (
        mixup_batch(images, targets, generator=generator(seed)) for seed in (3, 3, 4)
    )
    assert all(map(torch.equal, first, again))
    assert not torch.equal(first[1], other[1])
    (hook,) = techniques.create("mixup")
    assert hook.alpha == 0.2
    assert all(map(torch.equal, first, hook.change_batch(images, targets, generator(3))))
    rng = generator(3)
    assert not torch.equal(*(mixup_batch(images, targets, generator=rng)[1] for _ in range(2)))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_class_numbers(dtype):
    images, labels = noise(5, 3, 4, 6, dtype=torch.float32), torch.tensor([2, 0, 1, 2, 1])
    mixed, soft = mixup_batch(images, labels.to(dtype), 1.0, num_classes=3, generator=generator(1))
    by_rows = mixup_batch(images, torch.eye(3)[labels], 1.0, generator=generator(1))
    assert torch.equal(mixed, by_rows[0])
    assert torch.equal(soft, by_rows[1])
    assert soft.dtype == torch.float32
    torch.testing.assert_close(soft.sum(1), torch.ones(5))
    same_class = mixup_batch(images, torch.full((5,), 2), 1.0, num_classes=3, generator=generator())
    assert torch.equal(same_class[1], torch.eye(3)[[2] * 5])  # exactly
    with pytest.raises(UserError, match="class numbers need num_classes"):
        mixup_batch(images, labels.to(dtype), generator=generator())


@pytest.mark.parametrize("targets", [torch.eye(3).long(), torch.ones(3), torch.eye(3).bool()])
def test_targets_of_another_shape_than_their_dtype_says(targets):
    says = rf"targets are .* of {targets.dtype}; give class numbers \(N,\) as integers or soft"
    with pytest.raises(UserError, match=says) as caught:
        mixup_batch(noise(3, 1, 4, 4), targets, num_classes=3, generator=generator())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("alpha", [-0.1, 0.005, float("nan"), float("inf")])
def test_bad_alphas(alpha):
    with pytest.raises(UserError, match=f"mixup alpha is {alpha}; it must be 0 or"):
        mixup_batch(*batch(), alpha, generator=generator())


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_mixing_targets_is_mixing_losses(smoothing):
    logits, labels = noise(7, 10), torch.tensor([3, 1, 4, 1, 5, 9, 2])
    lam, partners = draw_mixup(7, 1.0, generator(2))
    _, soft = mixup(logits, F.one_hot(labels, 10).double(), lam, partners)
    own, other = (
        F.cross_entropy(logits, y, label_smoothing=smoothing) for y in (labels, labels[partners])
    )
    mixed = F.cross_entropy(logits, soft, label_smoothing=smoothing)
    assert mixed.item() == pytest.approx((lam * own + (1 - lam) * other).item(), rel=1e-12)


def watch(trainer):
    """Lists of what goes in and comes out of the net, and of what mixup made."""
    seen = SimpleNamespace(training=[], evaluation=[], mixed=[])

    def after(model, inputs, logits):
        kind = seen.training if model.training else seen.evaluation
        kind.append((inputs[0].clone(), logits.detach()))

    trainer.model.register_forward_hook(after)
    (hook,) = [hook for hook in trainer.hooks if hook.spec.short == "m"]
    change = hook.change_batch

    def watched(images, targets, draws):
        seen.mixed.append(change(images, targets, draws))
        return seen.mixed[-1]

    hook.change_batch = watched
    return seen


def test_one_draw_for_both_passes_of_a_step(sample, small):
    trainer = Trainer(small("m(alpha=1)+sam"), sample)
    seen = watch(trainer)
    trainer.run()
    assert (len(seen.mixed), len(seen.training)) == (10, 20)
    for (images, targets), *passes in zip(
        seen.mixed, seen.training[::2], seen.training[1::2], strict=True
    ):
        assert all(torch.equal(inputs, images) for inputs, _ in passes)
        torch.testing.assert_close(targets.sum(1), torch.ones(32))
    largest = [targets.max(1).values.min().item() for _, targets in seen.mixed]
    assert len(set(largest)) == 10  # a new weight in every step


def test_training_accuracy_counts_own_labels_and_evaluation_is_clean(sample, small):
    kept = sample.train.images.clone()
    trainer = Trainer(small("m(alpha=1)", epochs=1, seed=4), sample)
    seen, counts = watch(trainer), []
    trainer.run(on_step=lambda step, loss, correct: counts.append(correct.item()))
    evaluate(trainer.model, sample.test, sample)
    assert torch.equal(sample.train.images, kept)
    for (images, _), split in zip(seen.evaluation, (sample.validation, sample.test), strict=True):
        assert torch.equal(images, normalise(split.images, sample.mean, sample.std))
    order = torch.randperm(160, generator=generator(4))
    answers = torch.stack([logits.argmax(1) for _, logits in seen.training])
    heavier = torch.stack([targets.argmax(1) for _, targets in seen.mixed])
    own = sample.train.labels[order].view(5, 32)
    assert counts == (answers == own).sum(1).cumsum(0).tolist()
    assert counts != (answers == heavier).sum(1).cumsum(0).tolist()
