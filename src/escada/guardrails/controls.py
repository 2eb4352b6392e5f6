"""Control texts with a known verdict, which calibrate every guardrail.

    human               continuation of the opening of a held-out document: must pass
    noise               uniformly drawn tokens: what a broken sampler writes
    shuffled_words      the human text with its words shuffled
    shuffled_characters the human text with its characters shuffled
    looped              a phrase of the human text, repeated
    copied              thirty words from a training document
    verbatim            continuation of the opening of a training document: good text, though copied
    english, spanish, galician    written for this file
    own                 new samples of the model, with the settings of the samples

Controls have the prompts of the human texts and, where the documents are long enough, the lengths
of the samples in tokens. Human texts come from all sources in turn, so that none dominates.
"""

from __future__ import annotations

import itertools
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from escada.errors import EscadaError
from escada.generation.decoding import generate
from escada.guardrails.texts import SampleFile, SampleText, without_cut_character
from escada.models.contract import LanguageModel
from escada.text.corpus import Corpus
from escada.text.documents import Document
from escada.text.tokenizers import Tokenizer

OPENING_WORDS = 8
"""The opening of a document, which serves as the prompt."""
CANDIDATES = 200
"""Documents per source that are searched for one of the wanted length."""
PHRASE_WORDS = 6
COPIED_WORDS = 30
"""Words of planted training text. Held-out text of the default corpus shares up to 16 consecutive
words with the training text, by set phrases."""

_WORD = re.compile(r"\w+")
_OPENING = re.compile(rf"(?:\S+\s+){{{OPENING_WORDS - 1}}}\S+")
_COPIED = re.compile(rf"(?:\W*\w+){{0,{COPIED_WORDS}}}")

ENGLISH = (
    "The committee met again on Tuesday to talk about the budget, but nobody had read the report. "
    "She kept the letters in a wooden box under the stairs and never showed them to her brother. "
    "When the rain stopped, we walked along the river as far as the old mill and back. "
    "Prices went up in the spring, and most of the shops in the high street have closed since. "
    "He said that the engine would need a new pump, which could take three weeks to arrive. "
    "Children under twelve travel free at weekends if they are with an adult who has a ticket. "
)
SPANISH = (
    "El comité se reunió de nuevo el martes para hablar del presupuesto, pero sin resultado. "
    "Ella guardaba las cartas en una caja de madera y jamás se las enseñó a su hermano. "
    "Cuando dejó de llover, caminamos junto al río hasta el viejo molino y luego volvimos. "
    "Los precios subieron en primavera, y desde entonces la mitad de las tiendas han cerrado. "
    "Dijo que el motor necesitaba una bomba nueva, que podría tardar tres semanas en llegar. "
    "Los niños menores de doce años viajan gratis los domingos si van con un adulto. "
)
GALICIAN = (
    "O comité reuniuse de novo o martes para falar do orzamento, pero ninguén lera o informe. "
    "Ela gardaba as cartas nunha caixa de madeira e nunca llas ensinou ao seu irmán. "
    "Cando deixou de chover, camiñamos a carón do río ata o vello muíño e despois volvemos. "
    "Os prezos subiron na primavera, e desde entón a metade das tendas pecharon. "
    "Dixo que o motor precisaba unha bomba nova, que podería tardar tres semanas en chegar. "
    "Os nenos menores de doce anos viaxan de balde os domingos se van cun adulto. "
)
LANGUAGES = {"english": ENGLISH, "spanish": SPANISH, "galician": GALICIAN}


def human(
    documents: Iterable[Document],
    tokenizer: Tokenizer,
    lengths: Sequence[int],
    *,
    seed: int,
) -> list[SampleText]:
    """One continuation per length (in tokens), from each source in turn.

    Takes a document that is long enough, or the source's longest, and reuses documents only when
    none is left.

    Raises:
        EscadaError: no document continues after an opening of `OPENING_WORDS` words.
    """
    rng = random.Random(seed)
    of_source: dict[str, list[Document]] = defaultdict(list)
    for document in documents:
        of_source[document.source].append(document)
    piles = [_candidates(of_source[source], tokenizer, rng) for source in sorted(of_source)]
    piles = [pile for pile in piles if pile]
    if not piles:
        raise EscadaError(
            f"no held-out document is longer than {OPENING_WORDS} words, so there is no human text "
            "to judge by",
            fix="use a corpus of longer documents",
        )
    rng.shuffle(piles)
    unused = [list(pile) for pile in piles]
    chosen: list[SampleText] = []
    for length, number in zip(lengths, itertools.cycle(range(len(piles)))):
        if not unused[number]:
            unused[number] = list(piles[number])
        pile = unused[number]
        fitting = (i for i, (_, ids) in enumerate(pile) if len(ids) >= length)
        longest = max(range(len(pile)), key=lambda i: len(pile[i][1]))
        one, ids = pile.pop(next(fitting, longest))
        chosen.append(replace(one, text=without_cut_character(tokenizer.decode(ids[:length]))))
    return chosen


Pile = list[tuple[SampleText, list[int]]]


def _candidates(documents: Sequence[Document], tokenizer: Tokenizer, rng: random.Random) -> Pile:
    """Some documents of a source, split after their openings, with the ids of the rest."""
    some = rng.sample(documents, min(len(documents), CANDIDATES))
    parted = [one for document in some if (one := _parted(document))]
    encoded = tokenizer.encode_batch([one.text for one in parted])
    return [(one, ids.tolist()) for one, ids in zip(parted, encoded, strict=True)]


def _parted(document: Document) -> SampleText | None:
    """Split a document after its opening; None if nothing follows."""
    opening = _OPENING.match(document.text)
    if opening is None or not document.text[opening.end() :].strip():
        return None
    end = opening.end()
    return SampleText(document.text[:end], document.text[end:], source=document.source)


def copied(training: Iterable[Document], n: int, *, seed: int) -> list[SampleText]:
    """`n` passages of `COPIED_WORDS` words of training text, where documents are long enough.

    Shorter passages occur in other texts by chance, so they are no evidence of copying.
    """
    parted = [one for document in training if (one := _parted(document))]
    long = [one for one in parted if len(_WORD.findall(one.text)) >= COPIED_WORDS]
    chosen = random.Random(seed).choices(long or parted, k=n)
    return [replace(one, text=_COPIED.findall(one.text)[0]) for one in chosen]


def noise(
    texts: Sequence[SampleText], tokenizer: Tokenizer, lengths: Sequence[int], *, seed: int
) -> list[SampleText]:
    """Tokens drawn uniformly, without the special ones."""
    special = {tokenizer.bos_id, tokenizer.eos_id, tokenizer.unk_id}
    choice = np.array([token for token in range(tokenizer.vocab_size) if token not in special])
    rng = np.random.default_rng(seed)
    return [
        replace(one, text=without_cut_character(tokenizer.decode(rng.choice(choice, length))))
        for one, length in zip(texts, lengths, strict=True)
    ]


def with_shuffled_words(text: str, rng: random.Random) -> str:
    """Shuffle the words and keep the whitespace."""
    found = re.findall(r"\S+", text)
    rng.shuffle(found)
    order = iter(found)
    return re.sub(r"\S+", lambda _: next(order), text)


def shuffled_words(texts: Sequence[SampleText], *, seed: int) -> list[SampleText]:
    """Each text with its words shuffled."""
    rng = random.Random(seed)
    return [replace(one, text=with_shuffled_words(one.text, rng)) for one in texts]


def shuffled_characters(texts: Sequence[SampleText], *, seed: int) -> list[SampleText]:
    """Each text with its characters shuffled."""
    rng = random.Random(seed)
    return [replace(one, text="".join(rng.sample(one.text, len(one.text)))) for one in texts]


def looped(texts: Sequence[SampleText]) -> list[SampleText]:
    """The first words of each text, repeated to its length."""

    def loop(text: str) -> str:
        phrase = " " + " ".join(text.split()[:PHRASE_WORDS])
        return (phrase * (len(text) // len(phrase) + 1))[: len(text)]

    return [replace(one, text=loop(one.text)) for one in texts]


def foreign(texts: Sequence[SampleText], language: str) -> list[SampleText]:
    """Text in a language of `LANGUAGES`, as long as each text, starting at different sentences.

    Languages are separate controls, because a mixture would let the hardest one pass.
    """
    return [
        replace(one, text=" " + "".join(itertools.islice(_endless(language, n), len(one.text))))
        for n, one in enumerate(texts)
    ]


def _endless(language: str, number: int) -> Iterator[str]:
    text = LANGUAGES[language]
    starts = [0, *(found.end() for found in re.finditer(r"\. ", text))][:-1]
    return itertools.islice(itertools.cycle(text), starts[number % len(starts)], None)


def others(
    corpus: Corpus, split: str, tokenizer: Tokenizer, lengths: Sequence[int], seed: int
) -> dict[str, list[SampleText]]:
    """All controls but `own`, by name, one text per length in tokens."""
    texts = human(corpus.documents(split), tokenizer, lengths, seed=seed)
    return {
        "human": texts,
        "noise": noise(texts, tokenizer, lengths, seed=seed),
        "shuffled_words": shuffled_words(texts, seed=seed),
        "shuffled_characters": shuffled_characters(texts, seed=seed),
        "looped": looped(texts),
        "copied": copied(corpus.documents("train"), len(lengths), seed=seed),
        "verbatim": human(corpus.documents("train"), tokenizer, lengths, seed=seed),
        **{language: foreign(texts, language) for language in LANGUAGES},
    }


def own(
    samples: SampleFile, model: LanguageModel, tokenizer: Tokenizer, *, n: int, profile: str
) -> list[list[SampleText]]:
    """`n` sets of new samples with the prompts and settings of the given ones, and another seed."""
    found = generate(
        model,
        tokenizer,
        [one.prompt for one in samples.continuations],
        samples.settings,
        max_tokens=samples.max_tokens,
        n=n,
        seed=samples.seed + 1,
        profile=profile,
    )
    texts = [
        SampleText(
            one.prompt,
            one.text if one.finished else without_cut_character(one.text),
            one.finished,
            stored_bits_per_token=one.bits_per_token,
            stored_tokens=len(one.ids),
        )
        for one in found
    ]
    return [texts[number::n] for number in range(n)]
