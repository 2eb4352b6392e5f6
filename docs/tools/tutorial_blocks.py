"""The tutorial's tables, worked arithmetic and console blocks, from its facts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from tutorial_figures import draw_groups, draw_saved, draw_surprisal
from tutorial_words import WORDS

from escada.choices import Code
from escada.report.i18n import Language

_MADE = re.compile(r"<!-- made: ([\w-]+) -->\n.*?<!-- /made -->", re.DOTALL)
_CONSOLE = "console-"
PIECES = ("v1", "v4")
"""The rungs whose cuts are shown; v5 and v_final have v4's, v_next's pieces are longer."""


def fill(page: str, made: Mapping[str, str]) -> str:
    """The page with each `<!-- made: NAME -->` part as it is made now.

    Raises:
        KeyError: the page names a part that is not made.
    """

    def part(match: re.Match[str]) -> str:
        return f"<!-- made: {match[1]} -->\n{made[match[1]].strip()}\n<!-- /made -->"

    return _MADE.sub(part, page)


def blocks(facts: dict[str, Any], code: Code) -> dict[str, str]:
    """Every part of the page in one language, by name."""
    say, language = WORDS[code], Language.load(code)
    makers = {
        "source": _source,
        "passage": _passage,
        "normaliser": _normaliser,
        "pieces": _pieces,
        "figures": _figures,
        "arithmetic": _arithmetic,
        "context": _context,
        "samples": _samples,
        "comparison": _comparison,
        "cost": _cost,
    }
    made = {name: make(facts, say, language) for name, make in makers.items()}
    for name, alt in say["alt"].items():
        made[f"picture-{name}"] = f"![{alt}](pictures/tutorial-{name}-{code}.svg)"
    for name, shown in facts["console"].items():
        made[_CONSOLE + name] = f"```console\n$ {shown['command']}\n{shown['output']}\n```"
    return made


def pictures(facts: dict[str, Any], code: Code) -> dict[str, str]:
    """The SVG files of one language, by file name."""
    say, language = WORDS[code], Language.load(code)
    drawn = {
        "surprisal": draw_surprisal(facts, say),
        "saved": draw_saved(facts, say, language),
        "groups": draw_groups(facts["comparisons"][0], say, language),
    }
    return {f"tutorial-{name}-{code}.svg": svg for name, svg in drawn.items()}


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A Markdown table; all but the first `left` columns are numbers."""
    rule = ["---" if i < left else "---:" for i in range(len(head))]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, rule, *rows])


def _source(facts: dict[str, Any], say: dict[str, Any], language: Language) -> str:
    climb = facts["climb"]
    runs = ", ".join(f"`{rung['run']}`" for rung in facts["rungs"].values())
    return say["from"].format(
        date=climb["created"],
        budget=language.budget(climb["budget"]),
        preset=climb["preset"],
        runs=runs,
    )


def _passage(facts: dict[str, Any], say: dict[str, Any], language: Language) -> str:
    passage = facts["passage"]
    size = say["size"].format(
        characters=language.number(passage["characters"]), bytes=language.number(passage["bytes"])
    )
    quoted = "\n".join(f"> {line}<br>" for line in passage["text"].split("\n"))
    return f"{quoted}\n\n{size} {say['licence'].format(id=passage['id'])}"


def _normaliser(facts: dict[str, Any], say: dict[str, Any], language: Language) -> str:
    found = facts["normaliser"]
    rows = "\n".join(f"{name}:\n\n    {_visible(found[key])}\n" for name, key in say["normaliser"])
    note = say["unchanged" if found["unchanged"] else "changed"]
    return f"{rows}\n{note}\n\n    {found['roadmap']}"


def _visible(text: str) -> str:
    """A string as Python writes it, accents that stand apart from their letters made visible."""
    return "".join(
        f"\\u{ord(sign):04x}" if unicodedata.combining(sign) else sign for sign in repr(text)
    )


def _pieces(facts: dict[str, Any], say: dict[str, Any], language: Language) -> str:
    rows: list[list[str]] = []
    for name in PIECES:
        rung = facts["rungs"][name]
        cut = " ".join(f"`{piece}`" for piece in first_line(rung["pieces"]))
        kind = f"{say['kinds'][rung['tokenizer']['kind']]}, {rung['tokenizer']['vocab_size']} ids"
        rows.append([name, kind, cut.replace(" ` `", " `␣`").replace("` ", "` "), _count(rung)])
    return _table(say["pieces_head"], rows, left=3)


def _count(rung: dict[str, Any]) -> str:
    return str(rung["tokens"])


def first_line(pieces: Sequence[Sequence[Any]]) -> list[str]:
    """The pieces of the first line."""
    texts = [str(piece[0]) for piece in pieces]
    return texts[: texts.index("\n")]


def _figures(facts: dict[str, Any], say: dict[str, Any], language: Language) -> str:
    rows = [
        [
            name,
            language.number(rung["tokens"]),
            language.number(rung["bits"], 1),
            language.number(rung["bits"] / rung["tokens"], 3),
            language.number(perplexity(rung), 2),
            f"**{language.number(rung['bits'] / facts['passage']['bytes'], 3)}**",
        ]
        for name, rung in facts["rungs"].items()
    ]
    return _table(say["figures_head"], rows)


def perplexity(rung: dict[str, Any]) -> float:
    """Two to the bits per token, the end of the text among the tokens."""
    return 2 ** (rung["bits"] / rung["tokens"])


def _arithmetic(facts: dict[str, Any], say: dict[str, Any], language: Language) -> str:
    parts: list[str] = []
    size = facts["passage"]["bytes"]
    for name in PIECES:
        rung = facts["rungs"][name]
        parts.append(
            say["arithmetic"].format(
                rung=name,
                pieces=say["kinds_the"][rung["tokenizer"]["kind"]],
                tokens=language.number(rung["tokens"]),
                bits=language.number(rung["bits"], 1),
                per_token=language.number(rung["bits"] / rung["tokens"], 3),
                perplexity=language.number(perplexity(rung), 2),
                bytes=language.number(size),
                per_byte=language.number(rung["bits"] / size, 3),
            )
        )
    v1, v4 = (facts["rungs"][name] for name in PIECES)
    if v4["bits"] < v1["bits"]:
        parts.append(
            say["verdict"].format(
                times=language.number(perplexity(v4) / perplexity(v1), 1),
                less=language.number(100 * (1 - v4["bits"] / v1["bits"]), 1),
                v4_bytes=language.number(size / v4["tokens"], 2),
                v1_bytes=language.number(size / v1["tokens"], 2),
            )
        )
    return "\n".join(parts)


def _context(facts: dict[str, Any], say: dict[str, Any], language: Language) -> str:
    text = facts["passage"]["text"]
    size = len(text.replace("\n", "").encode())
    rows = [
        [
            name,
            language.number(rung["alone_bits"] / size, 3),
            language.number(rung["in_place_bits"] / size, 3),
            f"{language.number(100 * (1 - rung['in_place_bits'] / rung['alone_bits']), 1)} %",
        ]
        for name, rung in facts["rungs"].items()
    ]
    return _table(say["context_head"], rows)


def _samples(facts: dict[str, Any], say: dict[str, Any], language: Language) -> str:
    parts: list[str] = []
    for name, rung in facts["rungs"].items():
        sample = rung["sample"]
        head = say["sample"].format(
            name=name, tokens=sample["tokens"], bits=language.number(sample["bits"], 2)
        )
        quoted = "> " + "↵<br>\n> ".join(map(_escaped, sample["text"].split("\n")))
        parts.append(f"{head}\n\n{quoted}")
    return "\n\n".join(parts)


def _escaped(text: str) -> str:
    """Text of a model, so that Markdown takes none of it for a mark."""
    return re.sub(r"([\\`*_{}\[\]<>#|~$])", r"\\\1", text)


def _comparison(facts: dict[str, Any], say: dict[str, Any], language: Language) -> str:
    rows = [
        [
            say["against"].format(a=row["a"], b=row["b"]),
            language.signed(row["passage_difference"]),
            language.signed(row["difference"]),
            language.interval(row["ci95"]),
            language.p_value(row["p_value"]),
            say["verdicts"][row["verdict"]],
        ]
        for row in facts["comparisons"]
    ]
    opposite = [
        row for row in facts["comparisons"] if row["passage_difference"] * row["difference"] < 0
    ]
    notes = [say["signs"].format(a=row["a"], b=row["b"]) for row in opposite]
    first = facts["comparisons"][0]
    groups = say["groups"].format(
        n=language.number(len(first["groups"])),
        a=first["a"],
        better=language.number(sum(difference < 0 for difference in first["groups"])),
    )
    return "\n\n".join(
        [_table(say["comparison_head"], rows), *(notes or [say["same_signs"]]), groups]
    )


def _cost(facts: dict[str, Any], say: dict[str, Any], language: Language) -> str:
    rows: list[list[str]] = []
    for name, rung in facts["rungs"].items():
        row = rung["all_documents"]
        rows.append(
            [
                name,
                language.compact(row["parameters"]),
                language.number(row["training_seconds"], 0),
                language.power(row["training_flops"]),
                language.memory(row["training_bytes"]),
                language.number(row["tokens_per_second"]),
                language.memory(row["peak_memory_bytes"]),
            ]
        )
    return _table(say["cost_head"], rows)
