"""What the parser says of a command line that it cannot read, in plain words and with a remedy."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

from escada.errors import decimal_comma, nearest

_EXTRA = re.compile(r"got unexpected extra arguments?(?:\(s\))? \((.*)\)", re.DOTALL)
_POSSIBLE = re.compile(r" \(Possible options: (.*)\)")
"""What the parser adds to an option that it does not know."""
_NOT_ONE_OF = re.compile(r"invalid value for '[^']+': '(.*)' is not one of (.*)", re.DOTALL)
_BAD_NUMBER = re.compile(r"invalid value for '(--[\w-]+)': Input should be a valid number")


def plain(message: str) -> str:
    """The parser's message without a capital and a full stop, as ours are written."""
    what = message.rstrip(".").replace(". Did you", "; did you").replace("Value error, ", "")
    what = _POSSIBLE.sub(r"; did you mean \1?", what)
    what = what[:1].lower() + what[1:]
    if extra := _EXTRA.fullmatch(what):
        what = f"these words belong to no option or argument: {extra[1]}"
    return what


def remedy(what: str, context: Any, words: Sequence[str]) -> str | None:
    """What to write instead, where that can be told.

    Args:
        what: from `plain`.
        context: the parser's, or None.
        words: the command line after `escada`.
    """
    if number := _BAD_NUMBER.match(what):
        return decimal_comma(words[words.index(number[1]) + 1]) if number[1] in words else None
    if choice := _NOT_ONE_OF.match(what):
        meant = nearest(choice[1], re.findall(r"'(\w+)'", choice[2]))
        return meant if meant.endswith("?") else None
    if what.startswith(_NO_PLACE):
        return _place_of(what.removeprefix(_NO_PLACE), context, words)
    return None


_NO_PLACE = "these words belong to no option or argument: "


def _place_of(extra: str, context: Any, words: Sequence[str]) -> str | None:
    """Where the words that the parser could not place were meant to go."""
    at = next((i for i, word in enumerate(words) if i > 1 and extra.startswith(word)), None)
    if at is None:
        return None
    option = next((i for i in range(at - 1, 0, -1) if words[i].startswith("-")), None)
    end = next((i for i in range(at, len(words)) if words[i].startswith("-")), len(words))
    opener = _opener_of(context, words[at:end])
    if opener is not None and (option is None or words[option] != opener):
        return f"a file is given with its option: {opener} {words[at]}"
    if option is not None and at - option > 1 and _takes_value(context, words[option]):
        value = words[option + 1 : end]
        if words[option] == "--set" and "=" not in value[0]:
            return f"write KEY=VALUE: --set {value[0]}={value[1]}"
        return f"a value of several words needs quotes: {words[option]} {_quoted(value)}"
    if any(map(os.path.isdir, words[1:])) and all(map(os.path.exists, words[at:end])):
        return f"a pattern may have matched several; {context.command_path} takes one"
    if _takes_value(context, "--prompt"):
        return f"a text is given in quotes: --prompt {_quoted(words[at:end])}"
    if end - at > 1:
        return f"put what belongs together in quotes, as in {_quoted(words[at:end])}"
    return None


def _opener_of(context: Any, values: Sequence[str]) -> str | None:
    """The option by which this verb takes a file, where the words are one."""
    if len(values) != 1 or not _names_a_file(values[0]):
        return None
    return next((name for name in _FILE_OPTIONS if _takes_value(context, name)), None)


_FILE_OPTIONS = ("--file", "--text", "--source", "--samples")


def _names_a_file(word: str) -> bool:
    """A file that is there, or a name that ends as those of documents and questions do."""
    there = os.path.isfile(word)  # noqa: PTH113 the method fails on long names
    return there or re.fullmatch(r".*\.(jsonl?|ndjson|csv|tsv|parquet|txt|md)", word) is not None


def _takes_value(context: Any, option: str) -> bool:
    return any(
        option in parameter.opts and not getattr(parameter, "is_flag", False)
        for parameter in context.command.params
    )


def _quoted(words: Sequence[str]) -> str:
    return '"' + " ".join(words) + '"'
