"""What the counts of a mixture said of each token, and what its network changed.

The mixture is p = g p_network + (1 - g) p_counts. Network and gates are read where the model
computes them; the counts' part is what is left of the mixture.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from escada.generation.pieces import PieceTable
from escada.inside.reading import guesses, read_text
from escada.inside.views import CountedToken, CountsRequest, CountsView, ShownToken
from escada.models import modern_counts
from escada.models.contract import LanguageModel
from escada.text.tokenizers import Tokenizer

Hook = Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]


def show_counts(
    model: LanguageModel, tokenizer: Tokenizer, request: CountsRequest, profile: str
) -> CountsView:
    """Counts, network and mixture at every token, EOS last."""
    assert isinstance(model, modern_counts.Model)
    read = read_text(request.text, tokenizer, profile)
    ids_1T = read.input(model)
    seen: dict[str, Tensor] = {}

    def keep(name: str) -> Hook:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            seen[name], seen[f"{name} input"] = output, inputs[0]

        return hook

    parts = {
        "gate": model.gate,
        "counts_in": model.counts_in,
        "counts_out": model.counts_out,
        "network": model.network.output,
    }
    hooks = [part.register_forward_hook(keep(name)) for name, part in parts.items()]
    try:
        mixture_TV = model(ids_1T)[0].double().softmax(dim=-1)
    finally:
        for hook in hooks:
            hook.remove()
    T, V = mixture_TV.shape
    gates_TG = (seen["gate"] + seen["counts_out"]).view(T, -1).double().softmax(dim=-1)
    share_T = gates_TG[:, -1]
    network_TV = seen["network"].view(T, V).double().softmax(dim=-1)
    rest_T1 = (1 - share_T)[:, None].clamp_min(1e-12)
    counts_TV = ((mixture_TV - share_T[:, None] * network_TV) / rest_T1).clamp_min(0)
    match_T = _matched(seen["counts_in input"].view(T, -1), model.config.count_tokens)
    table, best = PieceTable(tokenizer), request.best
    end = ShownToken(id=tokenizer.eos_id, name="<eos>", text="")
    found = [
        CountedToken(
            token=token,
            counts=float(counts_TV[t, token.id]),
            network=float(network_TV[t, token.id]),
            mixture=float(mixture_TV[t, token.id]),
            network_share=float(share_T[t]),
            match_tokens=int(match_T[t]),
            best_by_counts=guesses(counts_TV[t], best, table),
            best_by_network=guesses(network_TV[t], best, table),
            best_by_mixture=guesses(mixture_TV[t], best, table),
        )
        for t, token in enumerate([*read.tokens[1:], end])
    ]
    return CountsView(tokens=found)


def _matched(features_TF: Tensor, count_tokens: int) -> Tensor:
    """The longest context, in tokens, that the training text has: (T,).

    The first K - 1 features grow with how often contexts of 1, 2, … K - 1 tokens were seen.
    """
    seen_TK = features_TF[:, : count_tokens - 1] > 0
    lengths_K = torch.arange(1, count_tokens, device=features_TF.device)
    return (seen_TK * lengths_K).amax(dim=1)
