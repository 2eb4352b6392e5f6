"""What the counts of a mixture said of each token, and what its network changed.

The mixture is p = g p_network + (1 - g) p_counts; what the network did not give is the counts'.
"""

from __future__ import annotations

import torch

from escada.generation.pieces import PieceTable
from escada.inside.reading import guesses, read_text
from escada.inside.views import CountedToken, CountsRequest, CountsView, ShownToken
from escada.models import modern_counts
from escada.models.contract import LanguageModel
from escada.text.tokenizers import Tokenizer


def show_counts(
    model: LanguageModel, tokenizer: Tokenizer, request: CountsRequest, profile: str
) -> CountsView:
    """Counts, network and mixture at every token, EOS last."""
    assert isinstance(model, modern_counts.Model)
    read = read_text(request.text, tokenizer, profile)
    ids_1T = read.input(model)
    mixture_TV = model(ids_1T)[0].double().softmax(dim=-1)
    mixing = model.mixing(ids_1T[0])
    network_TV, share_T = mixing.network_TV.double(), mixing.gates_TG[:, -1].double()
    rest_T1 = (1 - share_T)[:, None].clamp_min(1e-12)
    counts_TV = ((mixture_TV - share_T[:, None] * network_TV) / rest_T1).clamp_min(0)
    lengths_K = torch.arange(1, model.config.count_tokens, device=share_T.device)
    match_T = ((mixing.totals_TK > 0) * lengths_K).amax(dim=1)
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
