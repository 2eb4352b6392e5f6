"""The texts to compare: continuations by runs and two hidden controls.

The runs continue the default prompts (their stored samples, generated if missing) and some held-out
openings, the beginnings of test documents. The control `human` is the document's own continuation,
on held-out openings only; `noise` is uniformly drawn characters, on all openings.

Probes show whether a judge can read, which noise does not. Each is another human text with degraded
versions that every reader finds worse:

    shuffled    the human text's own words in another order, at the same length
    elsewhere   the continuation of another document, at the same length
    longer      the shuffled words against a human text two thirds as long

Texts of one opening are cut to the same length, because judges favour length: that of the shortest
text that did not end by itself. Texts that did end are not padded.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

from escada.errors import EscadaError
from escada.evaluation.baselines.byte_ngrams import character_tokenizer, uniform_model
from escada.evaluation.task import Subject, is_done, result_key
from escada.evaluation.tasks.samples import SAMPLE_SEED, SAMPLE_TOKENS, SAMPLES
from escada.files import write_sealed_json
from escada.generation.decoding import generate
from escada.generation.samplers import SamplerSettings
from escada.guardrails.controls import with_shuffled_words
from escada.runs.device import resolve_device
from escada.runs.layout import read_whole
from escada.runs.run import Run
from escada.text.corpus import Corpus
from escada.text.documents import Document

SCHEMA_VERSION = 1
HUMAN, NOISE = "human", "noise"
OPENING_CHARACTERS = 200
"""Maximum length of an opening, which ends at a word boundary."""
CONTINUATION_CHARACTERS = 480
"""Length of a document's continuation: about what 120 subwords write."""
HELD_OUT_SAMPLES = "held-out-samples"
PROBES = 10
"""Number of validation documents that are made into probes."""
LEAST_PROBE_WORDS = 12
"""Minimum number of distinct words in a probe's human text."""
SHORT_SHARE = 2 / 3
"""Share of the human text shown next to longer shuffled words."""

ProbeKind = Literal["shuffled", "elsewhere", "longer"]
PROBE_PAIRS: dict[ProbeKind, tuple[str, str]] = {
    "shuffled": ("human", "shuffled"),
    "elsewhere": ("human", "elsewhere"),
    "longer": ("short", "shuffled"),
}
"""The better and the worse text of each kind of probe."""
PROBE_MARKS = ("human", "shuffled")

Role = Literal["run", "human", "noise"]


@dataclass(frozen=True, slots=True)
class Opening:
    """The beginning of a text; `held_out`: of a test document."""

    id: str
    text: str
    held_out: bool


@dataclass(frozen=True, slots=True)
class PanelText:
    """A continuation; `ended`: it ended by itself and was not cut off."""

    text: str
    ended: bool


@dataclass(frozen=True, slots=True)
class Entrant:
    """One author's continuations, by opening id. `run` is the folder's name."""

    name: str
    role: Role
    run: str | None
    continuations: Mapping[str, PanelText]


@dataclass(frozen=True, slots=True)
class Probe:
    """Texts after one opening with a known order: `human`, `short`, `shuffled`, `elsewhere`."""

    opening: Opening
    texts: Mapping[str, str]


@dataclass(frozen=True)
class Panel:
    """The openings, entrants and probes of a review; `corpus_hash` is of the human documents."""

    openings: list[Opening]
    entrants: list[Entrant]
    corpus_hash: str
    probes: list[Probe] = field(default_factory=list[Probe])

    def texts(self, opening: str) -> dict[str, str]:
        """The texts of an opening as shown, by entrant, cut to one length."""
        written = {
            entrant.name: entrant.continuations[opening]
            for entrant in self.entrants
            if opening in entrant.continuations
        }
        running_on = [len(one.text) for one in written.values() if not one.ended]
        length = min(running_on, default=None)
        return {name: one.text[:length] for name, one in written.items()}

    def to_json(self) -> dict[str, object]:
        """With the journal, everything needed to check a verdict."""
        return {
            "schema_version": SCHEMA_VERSION,
            "corpus_hash": self.corpus_hash,
            "openings": [asdict(one) | {"texts": self.texts(one.id)} for one in self.openings],
            "entrants": [
                {"name": one.name, "role": one.role, "run": one.run} for one in self.entrants
            ],
            "probes": [asdict(probe) for probe in self.probes],
        }


def gather_panel(
    runs: Sequence[Run],
    corpus: Corpus,
    *,
    prompts: int | None = None,
    seed: int = 0,
    device: str = "auto",
) -> Panel:
    """Generate missing samples of runs of one corpus, and add the controls.

    `prompts` limits the stored samples used, evenly spread. `seed` chooses documents and noise.

    Raises:
        EscadaError: a run twice, a run of another corpus, or no document that is long enough.
    """
    _check(runs, corpus)
    stored = [Subject(run, corpus, device=device).need(SAMPLES).samples for run in runs]
    chosen = _spread([row.prompt_id for row in stored[0]], prompts)
    prompt_texts = {row.prompt_id: row.prompt for row in stored[0]}
    held_out, human = _held_out(corpus, math.ceil(len(chosen) / 2), seed)
    openings = [Opening(name, prompt_texts[name], held_out=False) for name in chosen] + held_out
    entrants: list[Entrant] = []
    for run, name, rows in zip(runs, _names(runs), stored, strict=True):
        by_id = {row.prompt_id: row for row in rows}
        written = {one: PanelText(by_id[one].text, bool(by_id[one].finished)) for one in chosen}
        entrants.append(Entrant(name, "run", run.name, written | _continued(run, held_out, device)))
    entrants.append(Entrant(HUMAN, "human", None, human))
    entrants.append(Entrant(NOISE, "noise", None, _noise(corpus, openings, seed)))
    return Panel(openings, entrants, corpus.hash, _probes(corpus, seed))


def _check(runs: Sequence[Run], corpus: Corpus) -> None:
    for run in runs:
        if [other.path.resolve() for other in runs].count(run.path.resolve()) > 1:
            raise EscadaError("a run is given twice", where=run.path)
        if run.corpus_hash != corpus.hash:
            raise EscadaError(
                "the run was trained on another corpus, so it may have read the held-out texts",
                where=run.path,
                fix=f"judge runs of one corpus together; this one is {corpus.path}",
            )


def _names(runs: Sequence[Run]) -> list[str]:
    """Rung names, or folder names where a rung occurs twice or is named like a control."""
    rungs = [run.spec.name for run in runs]
    names = [
        run.name if rungs.count(rung) > 1 or rung in (HUMAN, NOISE) else rung
        for run, rung in zip(runs, rungs, strict=True)
    ]
    if len({HUMAN, NOISE, *names}) < 2 + len(names):
        what = f"the runs cannot be told apart by their names: {', '.join(names)}"
        raise EscadaError(what, fix="rename the folder of one")
    return names


def _spread(ids: Sequence[str], count: int | None) -> list[str]:
    """`count` of the ids, evenly spread, so that every category of prompts is represented."""
    if count is None or count >= len(ids):
        return list(ids)
    return [ids[(2 * i + 1) * len(ids) // (2 * count)] for i in range(count)]


def _one_of_each_group(corpus: Corpus, split: str, seed: int) -> list[Document]:
    """One document per group: long ones first, in seeded order, then by length."""
    of_group: dict[tuple[str, str], Document] = {}
    wanted = OPENING_CHARACTERS + CONTINUATION_CHARACTERS
    by_lot = sorted(corpus.documents(split), key=lambda document: _lot(document, seed))
    for document in sorted(by_lot, key=lambda document: -min(len(document.text), wanted)):
        of_group.setdefault((document.source, document.group), document)
    return list(of_group.values())


def _probes(corpus: Corpus, seed: int) -> list[Probe]:
    """Up to `PROBES` probes from validation documents, which are not used elsewhere."""
    parted: list[tuple[Document, int, str]] = []
    for document in _one_of_each_group(corpus, "validation", seed):
        cut = _opening_end(document.text)
        if cut is not None:
            text = document.text[cut : cut + CONTINUATION_CHARACTERS]
            if len(set(text.split())) >= LEAST_PROBE_WORDS:
                parted.append((document, cut, text))
    chosen = parted[:PROBES]
    if len(chosen) < 2:
        return []
    probes: list[Probe] = []
    for place, (document, cut, text) in enumerate(chosen):
        others = [*chosen[place + 1 :], *chosen[:place]]
        strange = [one for one in others if one[0].source != document.source] or others
        elsewhere = strange[0][2]
        human = text[: len(elsewhere)]
        opening = Opening(f"probe/{document.source}/{document.id}", document.text[:cut], True)
        texts = {
            "human": human,
            "short": human[: round(SHORT_SHARE * len(human))],
            "shuffled": with_shuffled_words(human, random.Random(f"{seed}\n{human}")),
            "elsewhere": elsewhere[: len(human)],
        }
        probes.append(Probe(opening, texts))
    return probes


def _held_out(corpus: Corpus, count: int, seed: int) -> tuple[list[Opening], dict[str, PanelText]]:
    openings: list[Opening] = []
    human: dict[str, PanelText] = {}
    for document in _one_of_each_group(corpus, "test", seed):
        cut = _opening_end(document.text)
        if cut and len(openings) < count:
            opening = Opening(
                f"held-out/{document.source}/{document.id}", document.text[:cut], True
            )
            openings.append(opening)
            human[opening.id] = PanelText(document.text[cut:], ended=True)
    if not openings:
        raise EscadaError(
            "no test document is long enough to be continued by a judge's human control",
            where=corpus.path,
        )
    return openings, human


def _lot(document: Document, seed: int) -> bytes:
    named = f"{seed}\n{document.source}\n{document.group}\n{document.id}"
    return hashlib.sha256(named.encode()).digest()


def _opening_end(text: str) -> int | None:
    """Index of the last space that fits an opening and a third of the text; None without one."""
    end = text.rfind(" ", 0, min(OPENING_CHARACTERS, len(text) // 3) + 1)
    return end if end > 0 else None


def _continued(run: Run, openings: Sequence[Opening], device: str) -> dict[str, PanelText]:
    """A run's continuations of held-out openings, stored in its folder."""
    path = run.layout.evaluation(HELD_OUT_SAMPLES)
    settings = SamplerSettings()
    key = result_key(
        run,
        "best",
        __name__,
        openings=[[opening.id, opening.text] for opening in openings],
        settings=asdict(settings),
        max_tokens=SAMPLE_TOKENS,
        seed=SAMPLE_SEED,
    )
    if not is_done(path, key):
        samples = generate(
            run.load_model("best", resolve_device(device)),
            run.tokenizer,
            [opening.text for opening in openings],
            settings,
            max_tokens=SAMPLE_TOKENS,
            seed=SAMPLE_SEED,
            profile=run.spec.text.profile,
        )
        rows = [
            {"opening": opening.id, "text": sample.text, "finished": sample.finished}
            for opening, sample in zip(openings, samples, strict=True)
        ]
        write_sealed_json(path, {"schema_version": SCHEMA_VERSION, "key": key, "samples": rows})
    return {
        row["opening"]: PanelText(row["text"], row["finished"])
        for row in read_whole(path, ("samples",))["samples"]
    }


def _noise(corpus: Corpus, openings: Sequence[Opening], seed: int) -> dict[str, PanelText]:
    """Uniform characters, up to the length of any run; continued where a sample drew EOS."""
    tokenizer = character_tokenizer(document.text for document in corpus.documents("train"))
    model = uniform_model(tokenizer)
    texts = dict.fromkeys((opening.id for opening in openings), "")
    rounds = 0
    while short := [one for one in openings if len(texts[one.id]) < CONTINUATION_CHARACTERS]:
        samples = generate(
            model,
            tokenizer,
            [opening.text for opening in short],
            SamplerSettings(temperature=1.0, top_p=None),
            max_tokens=CONTINUATION_CHARACTERS,
            seed=seed + rounds,
            profile=corpus.profile,
        )
        for opening, sample in zip(short, samples, strict=True):
            texts[opening.id] += sample.text
        rounds += 1
    return {name: PanelText(text, ended=False) for name, text in texts.items()}
