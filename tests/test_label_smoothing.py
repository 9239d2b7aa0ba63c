"""Label smoothing: the targets, torch's loss, mixup in either order, and plain evaluation."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from effcnn import techniques
from effcnn.data import Split, normalise
from effcnn.errors import UserError
from effcnn.techniques.label_smoothing import smooth_labels
from effcnn.techniques.mixup import mixup
from effcnn.train import Trainer, evaluate

strengths = pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.35, 1.0])


def noise(*shape):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def soft_targets(n=7, classes=10):
    return (3 * noise(n, classes)).softmax(1)


def wrapped(smoothing=0.1, loss=F.cross_entropy):
    (hook,) = techniques.create(f"ls(smoothing={smoothing})")
    return hook.wrap_loss(loss)


def test_hand_made_numbers():
    (row,) = smooth_labels(torch.tensor([3]), num_classes=10).tolist()
    assert row == pytest.approx([0.01] * 3 + [0.91] + [0.01] * 6)
    assert smooth_labels(torch.tensor([[0.5, 0.5, 0, 0]]), 0.2).tolist()[0] == pytest.approx(
        [0.45, 0.45, 0.05, 0.05]
    )


@strengths
def test_rows_sum_to_one_and_both_ends(smoothing):
    targets = soft_targets(5, 3)
    kept, smooth = targets.clone(), smooth_labels(targets, smoothing)
    assert torch.equal(targets, kept)
    torch.testing.assert_close(smooth.sum(1), torch.ones_like(smooth[:, 0]))
    assert torch.equal(smooth, targets) is (smoothing == 0)
    uniform = torch.full_like(targets, 1 / 3)
    assert torch.equal(smooth, uniform) is (smoothing == 1)
    torch.testing.assert_close(smooth, torch.lerp(targets, uniform, smoothing))


@strengths
def test_the_same_loss_as_torch(smoothing):
    logits, labels, soft = noise(7, 10), torch.arange(7) + 3, soft_targets()
    loss, hard = wrapped(smoothing), F.one_hot(labels, 10).double()
    expected = F.cross_entropy(logits, labels, label_smoothing=smoothing)
    torch.testing.assert_close(loss(logits, hard), expected, rtol=1e-12, atol=0)
    weight = torch.linspace(0.5, 2, 10, dtype=torch.float64)
    for other in ({}, {"reduction": "none"}, {"reduction": "sum"}, {"weight": weight}):

        def plain(logits, targets, other=other, **more):
            return F.cross_entropy(logits, targets, **other, **more)

        smoothed = wrapped(smoothing, plain)(logits, soft)
        expected = plain(logits, soft, label_smoothing=smoothing)
        torch.testing.assert_close(smoothed, expected, rtol=1e-12, atol=0)


@strengths
def test_gradient(smoothing):
    logits, soft = noise(7, 10).requires_grad_(), soft_targets()
    wrapped(smoothing)(logits, soft).backward()
    target = (1 - smoothing) * soft + smoothing / 10
    expected = (logits.detach().softmax(1) - target) / 7
    torch.testing.assert_close(logits.grad, expected, rtol=1e-12, atol=1e-15)


def test_not_the_convention_without_the_true_class():
    def others_only(smoothing):
        """1 - s for the true class and s / (K - 1) for each of the others."""
        return hard * (1 - smoothing) + (1 - hard) * smoothing / 9

    logits, hard = noise(7, 10), torch.eye(10, dtype=torch.float64)[:7]
    loss = wrapped(0.1)(logits, hard)
    assert abs(loss - F.cross_entropy(logits, others_only(0.1))) > 0.001
    same = F.cross_entropy(logits, others_only(0.1 * 9 / 10))  # 0.91 and 0.01 again
    torch.testing.assert_close(loss, same, rtol=1e-12, atol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_soft_targets_keep_their_dtype(dtype):
    smooth = smooth_labels(torch.eye(10, dtype=dtype))  # as many rows as classes
    assert smooth.dtype == dtype
    expected = 0.9 * torch.eye(10, dtype=torch.float64) + 0.01
    torch.testing.assert_close(smooth, expected.to(dtype), atol=torch.finfo(dtype).eps, rtol=0)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_the_dtype_says_what_the_targets_are(dtype):
    labels = torch.tensor([2, 0, 1], dtype=dtype)
    smooth = smooth_labels(labels, 0.3, num_classes=3)
    assert smooth.dtype == torch.float32
    torch.testing.assert_close(smooth, 0.7 * torch.eye(3)[[2, 0, 1]] + 0.1)
    with pytest.raises(UserError, match="class numbers need num_classes"):
        smooth_labels(labels)
    for targets in (torch.eye(3, dtype=dtype), labels.float()):  # dense and whole; float and flat
        shape = str(tuple(targets.shape)).replace("(", r"\(").replace(")", r"\)")
        with pytest.raises(UserError, match=f"targets are {shape} of {targets.dtype}; give") as e:
            smooth_labels(targets, num_classes=3)
        assert "\n" not in str(e.value)
    with pytest.raises(RuntimeError):  # torch's mark of a label to ignore is no class
        smooth_labels(torch.tensor([1, -100]), num_classes=3)


@pytest.mark.parametrize("smoothing", [-0.1, 1.1, float("nan"), float("inf")])
def test_bad_smoothing(smoothing):
    with pytest.raises(UserError, match=f"label smoothing is {smoothing}; it must be a number"):
        smooth_labels(torch.eye(3), smoothing)


def test_before_or_after_mixup():
    images, targets = noise(5, 3, 4, 6), torch.eye(10, dtype=torch.float64)[:5]
    lam, partners = 0.7, torch.tensor([1, 2, 0, 4, 3])
    after = smooth_labels(mixup(images, targets, lam, partners)[1])
    before = mixup(images, smooth_labels(targets), lam, partners)[1]
    torch.testing.assert_close(after, before, rtol=1e-13, atol=0)
    assert before.min().item() == pytest.approx(0.1 / 10)  # both halves are smoothed, once
    assert before.max().item() == pytest.approx(0.9 * 0.7 + 0.1 / 10)


def first_step(trainer):
    """The loss of one step, beside the logits and the targets that it was computed from."""
    seen = []
    trainer.model.register_forward_hook(lambda model, inputs, logits: seen.append(logits.detach()))
    (mix,) = [hook for hook in trainer.hooks if hook.spec.short == "m"]
    change = mix.change_batch

    def watched(images, targets, draws):
        seen.append(change(images, targets, draws))
        return seen[-1]

    mix.change_batch = watched
    loss, _ = trainer.step(torch.arange(32), 0)
    (_, targets), logits, *_ = seen
    return loss, logits, targets


@pytest.mark.parametrize("others", ["", "+sam"])
def test_every_order_of_names_gives_the_same_loss(others, sample, small):
    losses = []
    for text in ("m(alpha=1)+ls", "ls+m(alpha=1)", "label-smoothing+mixup(alpha=1)"):
        loss, logits, targets = first_step(Trainer(small(text + others), sample))
        assert ((targets > 0) & (targets < 1)).any()  # mixed
        assert (targets == 0).any()  # and not yet smoothed
        expected = F.cross_entropy(logits.float(), targets, label_smoothing=0.1)
        torch.testing.assert_close(loss, expected, rtol=1e-5, atol=0)
        losses.append(loss.item())
    assert len(set(losses)) == 1
    reversed_names = [Trainer(small(text), sample).run() for text in ("m+ls", "ls+m")]
    assert reversed_names[0].history == reversed_names[1].history


def test_evaluation_is_plain_cross_entropy(sample, small):
    def train(data):
        trainer = Trainer(small("ls(smoothing=0.5)"), data)
        trainer.model.classifier.weight.data *= 30  # so that it is sure of its answers
        return trainer.run()

    # Labels that it gets all right: there the two losses are far apart.
    images = sample.validation.images
    answers = evaluate(train(sample).model, sample.validation, sample)["answer"].long()
    data = replace(sample, validation=Split(images, answers))
    trainer = train(data)
    scores = evaluate(trainer.model, data.validation, data)
    with torch.no_grad():
        logits = trainer.model(normalise(images, data.mean, data.std)).double()
    plain = F.cross_entropy(logits, answers).item()
    assert F.cross_entropy(logits, answers, label_smoothing=0.5) > plain + 0.5
    assert (scores["loss"], scores["accuracy"]) == (pytest.approx(plain, rel=1e-5), 100)
    assert trainer.history[-1]["validation_loss"] == pytest.approx(plain, rel=1e-5)
