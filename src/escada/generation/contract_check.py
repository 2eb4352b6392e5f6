"""Checks that a model keeps its contract, in about a second, before the first training step.

    check_contract(spec.model, 4096, window_tokens=256, device=device)

Training uses only part of a model; evaluation and sampling use the rest, hours later. So everything
in `escada.models.contract` is tried here on a few random tokens: logits, gradients, incremental
decoding, the methods of the state, and decoding again with packed layers. The weights are perturbed
first, because a matrix that starts at zero hides what is behind it.

    B  rows     T  tokens     V  vocabulary
"""

from __future__ import annotations

import contextlib
import itertools
import math
import traceback
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import torch
from torch import Tensor
from torch.nn import functional

from escada.errors import EscadaError
from escada.generation.inference import exact_inference
from escada.generation.weights import with_weights
from escada.models.activation_memory import Setting, setting_of
from escada.models.contract import DecodingState, LanguageModel, build_model
from escada.runs.device import memory_errors
from escada.spec import MODELS, ModelConfig

ROWS = 3
MOST_TOKENS = 64
NOISE = 0.02
"""Standard deviation of the noise added to every parameter."""
TOLERANCE = 1e-3
"""Relative to the largest logit: far above rounding, far below the effect of a lost token."""
GRADIENT_BATCHES = 4
"""A small batch may not reach every expert of a mixture."""


def check_contract(
    config: ModelConfig,
    vocab_size: int,
    *,
    window_tokens: int,
    device: torch.device,
    setting: Setting | None = None,
) -> None:
    """Check a model's contract on a new model that is then discarded.

    Args:
        setting: the precision of the training; None: fp32.

    Raises:
        EscadaError: names the method that breaks the contract, and a fix.
    """
    setting = setting or setting_of("fp32", device)
    fix = "choose a smaller model, or a machine with more of it"
    with memory_errors(config.kind, fix), torch.random.fork_rng():
        torch.manual_seed(0)
        _Check(config, vocab_size, window_tokens, device).all(setting)


@dataclass
class _Check:
    config: ModelConfig
    vocab_size: int
    window_tokens: int
    device: torch.device
    how: str = ""
    """Said in messages after the name of a method of decoding."""

    def all(self, setting: Setting) -> None:
        """Run all checks, those that others depend on first."""
        with self._calling("__init__", "it is called as Model(config, vocab_size)"):
            model = build_model(self.config, self.vocab_size, seed=0).to(self.device)
        context = self._attributes(model)
        tokens = min(max(self.window_tokens, 16), context or MOST_TOKENS, MOST_TOKENS)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += NOISE * torch.randn_like(parameter)
        ids_BT = self._ids(tokens)
        with torch.no_grad():
            self._logits(model.eval(), ids_BT)
        self._gradients(model.train(), tokens, setting)
        self._operations(model, tokens)
        with exact_inference(model.eval()):
            whole_BTV = self._forward(model, ids_BT)
            self._decoding(model, ids_BT, whole_BTV)
            packed = with_weights(model, "fp32")
        if packed is not model:
            self.how = " with packed layers"
            with exact_inference(packed):
                self._decoding(packed, ids_BT, whole_BTV)

    def _ids(self, tokens: int) -> Tensor:
        return torch.randint(self.vocab_size, (ROWS, tokens)).to(self.device)

    def _attributes(self, model: LanguageModel) -> int | None:
        """Check the attributes; returns `context_tokens`."""
        if getattr(model, "vocab_size", None) != self.vocab_size:
            self._broken("vocab_size is not set", "set self.vocab_size = vocab_size in __init__")
        context = getattr(model, "context_tokens", 0)
        if context is not None and not (isinstance(context, int) and context >= 2):
            self._broken(
                "context_tokens is not set",
                "set self.context_tokens in __init__: the most tokens that it reads at once, "
                "2 or more, or None",
            )
        if context is not None and self.window_tokens > context:
            raise EscadaError(
                f"train.window_tokens {self.window_tokens} exceeds the model's context_tokens "
                f"{context}",
                where=self._file(),
                fix="lower the one or raise the other",
            )
        return context

    def _forward(self, model: LanguageModel, ids_BT: Tensor) -> Tensor:
        """Check `forward`, and return its logits as the reference for decoding."""
        whole_BTV = self._logits(model, ids_BT)
        if not self._same(self._logits(model, ids_BT), whole_BTV):
            self._broken(
                "forward gives other logits the second time",
                "in evaluation mode nothing is random: give functional.dropout self.training",
            )
        other_BT = ids_BT.clone()
        other_BT[:, -1] = (other_BT[:, -1] + 1) % self.vocab_size
        if not self._same(self._logits(model, other_BT)[:, :-1], whole_BTV[:, :-1]):
            self._broken(
                "forward looks ahead: the last token changes logits before it",
                "make it causal: the logits at t depend on ids up to t only",
            )
        if not self._same(self._logits(model, ids_BT[1:2]), whole_BTV[1:2]):
            self._broken(
                "forward mixes rows: a row's logits depend on those beside it",
                "normalise within a token, never over the batch",
            )
        with self._calling("last_logits", "it gives forward(ids_BT)[:, -1]"):
            last_BV = model.last_logits(ids_BT)
        if not self._same(last_BV, whole_BTV[:, -1]):
            self._broken("last_logits gives other logits than forward", "forward(ids_BT)[:, -1]")
        return whole_BTV

    def _logits(self, model: LanguageModel, ids_BT: Tensor) -> Tensor:
        """The checked output of `forward`."""
        with self._calling("forward", "it takes ids (B, T) and gives logits (B, T, V)"):
            logits_BTV = model(ids_BT)
        self._well_formed("forward", logits_BTV, ids_BT)
        return logits_BTV

    def _well_formed(self, method: str, logits: object, ids_BT: Tensor) -> None:
        expected = (*ids_BT.shape, self.vocab_size)
        if not isinstance(logits, Tensor) or logits.shape != expected:
            got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            self._broken(
                f"{method} gives {got} for ids {tuple(ids_BT.shape)}",
                f"give logits (B, T, V): {expected}",
            )
        if logits.dtype != torch.float32:
            self._broken(f"{method} gives {logits.dtype}", "give fp32 logits")
        if logits.device != ids_BT.device:
            self._broken(
                f"{method} gives logits on {logits.device} for ids on {ids_BT.device}",
                "make tensors on self.device",
            )
        if not logits.isfinite().all():
            self._broken(f"{method} gives logits that are not finite", "look at its start weights")

    def _decoding(self, model: LanguageModel, ids_BT: Tensor, whole_BTV: Tensor) -> None:
        """Check that reading tokens in any chunks gives the logits of one pass."""
        tokens = ids_BT.shape[1]
        state = self._fresh(model, ROWS)
        cuts = sorted({1, 2, 3, tokens // 2, tokens - 1} & set(range(1, tokens)))
        for first, end in itertools.pairwise([0, *cuts, tokens]):
            self._advance(model, ids_BT[:, first:end], state, whole_BTV[:, first:end])

        half = tokens // 2
        state = self._fresh(model, ROWS)
        self._advance(model, ids_BT[:, :half], state, whole_BTV[:, :half])
        rows = torch.tensor([2, 0, 2], device=self.device)
        with self._calling(f"fresh_state(…).select{self.how}", "it takes an index of rows, int64"):
            chosen = state.select(rows)
        self._rows(chosen, 3, "select")
        when = "after select, of the rows chosen and of the state that they were chosen from,"
        for read, place in ((chosen, rows), (state, torch.arange(ROWS, device=self.device))):
            self._advance(model, ids_BT[place, half:], read, whole_BTV[place, half:], when)

        lengths = [min(n, tokens - 1) for n in (1, half, tokens - 2) if n > 0]
        states: list[DecodingState] = []
        for row, length in enumerate(lengths):
            state = self._fresh(model, 1)
            model.advance(ids_BT[row : row + 1, :length], state)
            states.append(state)
        with self._calling(f"fresh_state(…).concatenate{self.how}", "it takes a list of states"):
            joined = type(states[0]).concatenate(states)
        self._rows(joined, len(states), "concatenate")
        next_B1 = torch.stack([ids_BT[row, n : n + 1] for row, n in enumerate(lengths)])
        expected_B1V = torch.stack([whole_BTV[row, n : n + 1] for row, n in enumerate(lengths)])
        when = f"after concatenate, of rows that have read {lengths} tokens,"
        self._advance(model, next_B1, joined, expected_B1V, when)

    def _fresh(self, model: LanguageModel, rows: int) -> DecodingState:
        with self._calling(f"fresh_state{self.how}", "make it on self.device"):
            state = model.fresh_state(rows)
        self._rows(state, rows, "fresh_state")
        return state

    def _rows(self, state: DecodingState, rows: int, method: str) -> None:
        found = getattr(state, "batch_size", None)
        if found != rows:
            self._broken(
                f"{method}{self.how} gives a state of batch_size {found}, not {rows}",
                "a state says its rows as batch_size",
            )

    def _advance(
        self,
        model: LanguageModel,
        ids_BT: Tensor,
        state: DecodingState,
        expected_BTV: Tensor,
        when: str = "",
    ) -> None:
        """Advance, and compare the logits with those of one pass over all tokens."""
        with self._calling(f"advance{self.how}", "it takes ids (B, T) and a state of B rows"):
            logits_BTV = model.advance(ids_BT, state)
        self._well_formed(f"advance{self.how}", logits_BTV, ids_BT)
        if not self._same(logits_BTV, expected_BTV):
            self._broken(
                " ".join(f"advance{self.how} {when} gives other logits than forward".split()),
                "a state holds all that was read of each row, and advance changes it in place",
            )

    def _gradients(self, model: LanguageModel, tokens: int, setting: Setting) -> None:
        named = {name: p for name, p in model.named_parameters() if p.requires_grad}
        if not named:
            self._broken("no parameter takes a gradient", "a model is trained by its gradients")
        without = list(named)
        for _ in range(GRADIENT_BATCHES):
            ids_BT = self._ids(tokens)
            with self._calling("forward, in training,", "it is called with gradients and autocast"):
                with setting.autocast():
                    logits_BTV = model(ids_BT)
                    loss = functional.cross_entropy(logits_BTV.flatten(0, 1), ids_BT.flatten())
                loss.backward()
            without = [n for n, p in named.items() if p.grad is None or not _entries(p.grad).any()]
            if not without:
                break
        if without:
            self._broken(
                f"no gradient reaches {', '.join(without[:3])}",
                "use it in forward, without detach, or set its requires_grad to False",
            )
        for name, parameter in named.items():
            if parameter.grad is not None and not _entries(parameter.grad).isfinite().all():
                self._broken(f"the gradient of {name} is not finite", "look at its start weights")

    def _operations(self, model: LanguageModel, tokens: int) -> None:
        with self._calling("forward_flops_per_token", "it takes a number of tokens"):
            found = float(model.forward_flops_per_token(tokens))
        if not (math.isfinite(found) and found > 0):
            self._broken(
                f"forward_flops_per_token gives {found:g}", "give a number above 0: operations"
            )

    def _same(self, actual: Tensor, expected: Tensor) -> bool:
        allowed = TOLERANCE * float(expected.abs().max()) + 1e-6
        return bool((actual - expected).abs().max() <= allowed)

    def _broken(self, what: str, fix: str) -> NoReturn:
        raise EscadaError(f"the model breaks its contract: {what}", where=self._file(), fix=fix)

    @contextlib.contextmanager
    def _calling(self, method: str, fix: str) -> Generator[None]:
        """Report any exception of an external model in one line; those of ours are bugs."""
        try:
            yield
        except (EscadaError, MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            if MODELS.is_ours(self.config.kind):
                raise
            what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            raise EscadaError(
                f"the model breaks its contract: {method} fails with {what}",
                where=self._place(error),
                fix=fix,
            ) from error

    def _file(self) -> str:
        file = MODELS.load(self.config.kind).__file__
        return self.config.kind if file is None else f"{self.config.kind}, {file}"

    def _place(self, error: Exception) -> str:
        """The innermost line of the model file in the traceback."""
        module = MODELS.load(self.config.kind)
        for frame in reversed(traceback.extract_tb(error.__traceback__)):
            if module.__file__ and Path(frame.filename) == Path(module.__file__):
                return f"{self.config.kind}, {frame.filename}:{frame.lineno}"
        return self._file()


def _entries(gradient: Tensor) -> Tensor:
    """The stored entries of a sparse gradient; a dense one unchanged."""
    return gradient.coalesce().values() if gradient.is_sparse else gradient
