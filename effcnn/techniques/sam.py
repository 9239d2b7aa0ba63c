"""Sharpness-aware minimisation (SAM): step along the gradient of the worst point nearby."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from effcnn.errors import UserError
from effcnn.techniques import SPECS, Technique


class SAM(Optimizer):
    """An optimizer around another one: it looks at the loss twice in a step.

    The first gradient g, at the weights w, leads to w + rho * g / ||g||, with one norm over all
    parameters; the base optimizer then steps from w, restored to the bit, along the gradient there.
    Weight decay and momentum are the base optimizer's and take no part in the first move. Both
    passes draw the same random numbers (dropout). With `model`, BatchNorm's running statistics
    learn from the first pass alone.

    It shares the base optimizer's parameter groups and state, so that schedulers can be built on
    either. Where the first gradient is zero or not finite there is no second pass.

    Args:
        optimizer: the base optimizer.
        rho: radius, >= 0; 0 is the base optimizer. 0.05 in Foret et al. for CIFAR.
        interval: look twice in every `interval`-th step only, and once in the others.
        adaptive: ASAM: scale the move by the size of each weight; wants a rho ten times larger.
        model: the net, for its BatchNorm layers.
    Raises: UserError for settings out of range, and for an optimizer that is SAM already.
    Source: Foret et al. 2021, arXiv:2010.01412; ASAM: Kwon et al. 2021, arXiv:2102.11600. Composer
        feeds BatchNorm twice, and restores the weights by subtraction.

    >>> weight = nn.Parameter(torch.ones(1))
    >>> optimizer = SAM(torch.optim.SGD([weight], lr=0.1), rho=0.5)
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = (weight**2).sum()
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure).item()
    1.0
    >>> weight.data  # the gradient is 3: that of 1.5
    tensor([0.7000])
    """

    def __init__(
        self,
        optimizer: Optimizer,
        rho: float = 0.05,
        *,
        interval: int = 1,
        adaptive: bool = False,
        model: nn.Module | None = None,
    ) -> None:
        if isinstance(optimizer, SAM):
            raise UserError("this optimizer is SAM already; wrap its base optimizer")
        if not 0 <= rho < float("inf"):
            raise UserError(f"SAM's rho is {rho}; it must be a number from 0")
        if not isinstance(interval, int) or interval < 1:
            raise UserError(f"SAM's interval is {interval}; it must be a whole number from 1")
        super().__init__(optimizer.param_groups, optimizer.defaults)
        self.base, self.rho, self.interval, self.adaptive = optimizer, rho, interval, adaptive
        self.model, self.steps = model, 0
        self._share(optimizer)
        optimizer.register_load_state_dict_post_hook(self._share)  # which gives it new ones

    def _share(self, optimizer: Optimizer) -> None:
        self.param_groups, self.state = optimizer.param_groups, optimizer.state

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.base.zero_grad(set_to_none)

    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor:
        """One step. `closure` clears the gradients, computes the loss and its gradients.

        Returns: the loss at the weights before the step, from the first pass.
        Raises: UserError without a closure. If the closure raises, the weights are as before.
        """
        if closure is None:
            raise UserError("SAM looks at the loss twice: give step a closure that computes it")
        closure = torch.enable_grad()(closure)
        twice = self.rho > 0 and (self.steps + 1) % self.interval == 0
        draws = self._draws() if twice else None
        loss = closure()
        if twice:
            self._look_nearby(closure, draws)
        self.base.step()
        self.steps += 1
        return loss

    def _look_nearby(self, closure: Callable[[], Tensor], draws: list[Tensor]) -> None:
        """Replace the gradients by those at the worst point nearby."""
        weights = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        gradients = [p.grad * p.detach().abs() if self.adaptive else p.grad for p in weights]
        norm = torch.nn.utils.get_total_norm(gradients).item()
        if not 0 < norm < float("inf"):
            return
        if self.adaptive:
            gradients = [g * p.detach().abs() for g, p in zip(gradients, weights, strict=True)]
        kept = [p.detach().clone() for p in weights]
        norms = self._norms()
        try:
            with torch.no_grad():
                torch._foreach_add_(weights, gradients, alpha=self.rho / norm)
            for module in norms:
                module.track_running_stats = False  # then it uses the batch's, and keeps nothing
            self._repeat(draws)
            closure()
        finally:
            for module in norms:
                module.track_running_stats = True
            with torch.no_grad():
                torch._foreach_copy_(weights, kept)

    def _norms(self) -> list[nn.Module]:
        """The BatchNorm layers that keep running statistics."""
        modules = () if self.model is None else self.model.modules()
        return [m for m in modules if isinstance(m, _BatchNorm) and m.track_running_stats]

    def _draws(self) -> list[Tensor]:
        """The states of PyTorch's global generators, which dropout draws from."""
        device = self.param_groups[0]["params"][0].device
        on_gpu = [torch.cuda.get_rng_state(device)] if device.type == "cuda" else []
        return [torch.get_rng_state(), *on_gpu]

    def _repeat(self, draws: list[Tensor]) -> None:
        """Let the generators draw once more what they drew from these states on."""
        torch.set_rng_state(draws[0])
        for state in draws[1:]:
            torch.cuda.set_rng_state(state, self.param_groups[0]["params"][0].device)

    def state_dict(self) -> dict:
        """The base optimizer's state and the number of steps."""
        return {"base": self.base.state_dict(), "steps": self.steps}

    def load_state_dict(self, state: dict) -> None:
        self.base.load_state_dict(state["base"])
        self.steps = state["steps"]


class SharpnessAware(Technique, spec=SPECS["sam"]):
    """`sam(rho=0.05,interval=1)` in a recipe. Cut and mixed is the batch once, for both passes."""

    def wrap_optimizer(self, optimizer: Optimizer, model: nn.Module) -> SAM:
        return SAM(optimizer, self.rho, interval=self.interval, model=model)
