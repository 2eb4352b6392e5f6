"""A tree of the most probable continuations of a text.

At each depth the most probable ways so far are kept, as many as the limit on nodes allows, and each
gets its most probable tokens as children.
"""

from __future__ import annotations

from escada.generation.decoder import Decoder
from escada.generation.pieces import PieceTable, token_name
from escada.inside.reading import most_probable, read_text
from escada.inside.views import TREE_NODES, ShownToken, TreeNode, TreeRequest, TreeView
from escada.models.contract import LanguageModel
from escada.text.tokenizers import Tokenizer


def show_tree(
    model: LanguageModel, tokenizer: Tokenizer, request: TreeRequest, profile: str
) -> TreeView:
    """The continuations; after EOS none follows."""
    read = read_text(request.text, tokenizer, profile)
    table = PieceTable(tokenizer)
    most = max(request.width, TREE_NODES // request.depth)
    nodes: list[TreeNode] = []
    decoder = Decoder(model, [read.ids])
    parents: list[int] = [-1]
    for depth in range(request.depth):
        probability_BV = decoder.logits_BV.double().softmax(dim=-1)
        ways = [
            (nodes[parent].path_probability if parent >= 0 else 1.0, row, parent, token, share)
            for row, parent in enumerate(parents)
            for token, share in most_probable(probability_BV[row], request.width)
        ]
        ways.sort(key=lambda way: -way[0] * way[-1])
        rows: list[int] = []
        tokens: list[int] = []
        parents = []
        for before, row, parent, token, share in ways[:most]:
            if token != tokenizer.eos_id:
                rows.append(row)
                tokens.append(token)
                parents.append(len(nodes))
            nodes.append(
                TreeNode(
                    token=_shown(token, table),
                    parent=parent,
                    probability=share,
                    path_probability=before * share,
                )
            )
        if not rows or depth + 1 == request.depth:
            break
        decoder.keep(rows)
        decoder.append(tokens)
    return TreeView(text=read.text, nodes=nodes)


def _shown(token: int, table: PieceTable) -> ShownToken:
    piece = table[token]
    return ShownToken(
        id=token, name=token_name(table, token), text=piece if isinstance(piece, str) else ""
    )
