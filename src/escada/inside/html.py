"""Views as HTML for notebooks: no script, no style sheet; what colours say is also in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from escada.inside.views import (
    AttentionView,
    CellRankingView,
    CellsView,
    CountedToken,
    CountsView,
    EmbeddingMapView,
    HeadRankingView,
    NeighboursView,
    PairView,
    ShownToken,
    TreeView,
    View,
)

RISING, FALLING, WEIGHT = "33,102,172", "178,24,43", "230,97,1"
"""Red, green and blue of values above 0, of values below, and of weights."""
GRID_TOKENS = 64
_WIDTH, _HEIGHT = 720, 480
_KIND_COLOURS = {
    "letter": "#1b6ca8",
    "capital": "#7b3294",
    "digit": "#008837",
    "sign": "#b35806",
    "space": "#4d4d4d",
    "byte": "#999999",
    "special": "#c51b7d",
}


def html_of(view: View) -> str:
    """A view as HTML."""
    match view:
        case CellsView():
            return _cells(view)
        case CellRankingView():
            rows = [
                (f"{one.cell.layer}", f"{one.cell.cell}", f"{one.score:.3f}", _way(one.falls))
                for one in view.cells
            ]
            caption = f"{view.property}: {view.tokens_with} of {view.tokens} tokens, {view.measure}"
            return _table(caption, ("layer", "cell", "score", "value"), rows)
        case AttentionView():
            return _attention(view)
        case HeadRankingView():
            rows = [
                (
                    f"{one.head.layer}",
                    f"{one.head.head}",
                    f"{one.previous_token:.3f}",
                    f"{one.same_token:.3f}",
                    f"{one.induction:.3f}",
                )
                for one in view.heads
            ]
            heads = ("layer", "head", "previous token", "same token", "induction")
            return _table(f"heads by {view.score}", heads, rows)
        case CountsView():
            return _counts(view)
        case NeighboursView():
            rows = [(_name(one.name), f"{one.cosine:.3f}") for one in view.neighbours]
            caption = f"nearest to {_name(view.token.name)}"
            return _table(caption, ("token", "cosine"), rows)
        case EmbeddingMapView():
            return _map(view)
        case TreeView():
            return _tree(view)
        case PairView():
            return _pair(view)


def _way(falls: bool) -> str:
    return "falls" if falls else "rises"


def _name(name: str) -> str:
    return name.replace(" ", "␣").replace("\n", "⏎")


def _table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th scope='col'>{escape(one)}</th>" for one in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><caption>{escape(caption)}</caption><tr>{head}</tr>{body}</table>"


def _shaded(token: ShownToken, value: float, colour: str, told: str) -> str:
    """A token on a background as strong as |value|, which is at most 1."""
    text = escape(token.text).replace("\n", "⏎<br>") or ("·" if token.name else "")
    title = escape(f"{_name(token.name)} {told}", quote=True)
    strength = min(abs(value), 1.0) * 0.8
    return f"<span title='{title}' style='background:rgba({colour},{strength:.2f})'>{text}</span>"


def _line(spans: Iterable[str]) -> str:
    return f"<p style='white-space:pre-wrap;line-height:1.9'>{''.join(spans)}</p>"


def _cells(view: CellsView) -> str:
    return "".join(
        f"<p>layer {trace.cell.layer}, cell {trace.cell.cell}"
        f" (blue above 0, red below)</p>"
        + _line(
            _shaded(token, value, RISING if value > 0 else FALLING, f"{value:+.2f}")
            for token, value in zip(view.tokens, trace.values, strict=True)
        )
        for trace in view.traces
    )


def _attention(view: AttentionView) -> str:
    """The last token's weights on the text, and the grid of all, its first tokens if it is long."""
    last = _line(
        _shaded(token, weight, WEIGHT, f"{weight:.2f}")
        for token, weight in zip(view.tokens, view.weights[-1], strict=True)
    )
    n = min(len(view.tokens), GRID_TOKENS)
    side = max(4, 480 // n)
    squares = "".join(
        f"<rect x='{j * side}' y='{i * side}' width='{side}' height='{side}'"
        f" fill='rgba({WEIGHT},{weight:.2f})'><title>"
        f"{escape(_name(view.tokens[i].name))} → {escape(_name(view.tokens[j].name))}: "
        f"{weight:.2f}</title></rect>"
        for i, row in enumerate(view.weights[:n])
        for j, weight in enumerate(row)
        if weight >= 0.02
    )
    told = (
        f"head {view.head.head} of layer {view.head.layer}: a row is a token that looks back, a "
        f"column one that it looks at; the first {n} of {len(view.tokens)} tokens"
    )
    return (
        f"<p>{escape(told)}. Above, what the last token looks at:</p>{last}"
        f"<svg role='img' aria-label='{escape(told, quote=True)}' width='{n * side}' "
        f"height='{n * side}' style='background:#8881'>{squares}</svg>"
    )


def _counts(view: CountsView) -> str:
    line = _line(_shaded(one.token, one.network_share, RISING, _shares(one)) for one in view.tokens)
    rows = [
        (
            _name(one.token.name),
            f"{one.counts:.3f}",
            f"{one.network:.3f}",
            f"{one.mixture:.3f}",
            f"{one.network_share:.2f}",
            f"{one.match_tokens}",
        )
        for one in view.tokens
    ]
    heads = ("token", "counts", "network", "mixture", "network's share", "context counted")
    caption = "blue: the network's share of the mixture"
    return f"{line}{_table(caption, heads, rows)}"


def _shares(one: CountedToken) -> str:
    return (
        f"counts {one.counts:.3f}, network {one.network:.3f}, mixture {one.mixture:.3f}, "
        f"network's share {one.network_share:.2f}"
    )


def _map(view: EmbeddingMapView) -> str:
    points = "".join(
        f"<text x='{(point.x + 1.05) / 2.1 * _WIDTH:.0f}'"
        f" y='{(1.05 - point.y) / 2.1 * _HEIGHT:.0f}' fill='{_KIND_COLOURS[point.kind]}'"
        f" font-size='12'>{escape(_name(point.name))}</text>"
        for point in view.points
    )
    told = f"{len(view.points)} tokens; the plane shows {view.explained:.0%} of the variance"
    return (
        f"<svg role='img' aria-label='{told}' viewBox='0 0 {_WIDTH} {_HEIGHT}' "
        f"width='{_WIDTH}' style='background:white'>{points}</svg><p>{told}</p>"
    )


def _tree(view: TreeView) -> str:
    children: dict[int, list[int]] = {}
    for place, node in enumerate(view.nodes):
        children.setdefault(node.parent, []).append(place)

    def below(parent: int) -> str:
        items = "".join(
            f"<li><b>{escape(_name(view.nodes[place].token.name))}</b> "
            f"{view.nodes[place].probability:.1%}{below(place)}</li>"
            for place in children.get(parent, ())
        )
        return f"<ul>{items}</ul>" if items else ""

    return f"<p style='white-space:pre-wrap'>{escape(view.text)}…</p>{below(-1)}"


def _pair(view: PairView) -> str:
    lines = "".join(
        _line(
            _shaded(
                ShownToken(id=token.id, name=token.name, text=token.text),
                token.bits / 16,
                FALLING,
                f"{token.bits:.2f} bits",
            )
            for token in tokens
        )
        for tokens in (view.text, view.other)
    )
    preferred = "the first" if view.difference_bits > 0 else "the second"
    return (
        f"{lines}<p>The model prefers {preferred} by {abs(view.difference_bits):.2f} bits: "
        f"{view.at_bits:+.2f} where they differ, {view.after_bits:+.2f} after it.</p>"
    )
