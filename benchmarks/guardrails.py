"""What the guardrails say of samples that were spoilt on purpose, and of pieces of human text.

    python benchmarks/guardrails.py faults RUN [OTHER_RUN …] [--data FOLDER]
    python benchmarks/guardrails.py pieces --data FOLDER
    python benchmarks/guardrails.py choices RUN [RUN …] [--data FOLDER]

`choices` looks at validation documents alone: limits from every second group, checks on the
others, for several lengths of planted copies and places of the limit of `language`. All print
Markdown tables, as in docs/results/guardrails.md.
"""

from __future__ import annotations

import argparse
import copy
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from escada.evaluation.task import Subject
from escada.files import read_json, write_json
from escada.generation import batch, decoding
from escada.generation.prompts import load_prompts
from escada.generation.samplers import SamplerSettings
from escada.guardrails import controls, guardrail
from escada.guardrails.copying import longest_copies
from escada.guardrails.task import guard_samples
from escada.guardrails.texts import read_samples
from escada.runs.run import open_run
from escada.spec import TokenizerSpec
from escada.text.corpus import Corpus
from escada.text.filters.language import languages
from escada.text.tokenizers import train_tokenizer
from escada.text.tokenizers.statistics import tokenizer_statistics

MAX_TOKENS = 120
ENGLISH = " The committee said that nobody had read the letters, and then it went home."
LOOP = " e a vacina contra a covid"


def written(run, settings, *, uniform_share=0.0):
    """Samples of a run; a share of the tokens is drawn uniformly, past the sampler."""
    rng, planted = np.random.default_rng(0), 0

    class PartlyUniform(batch.Batch):
        def _choose(self, logits_BV):
            nonlocal planted
            ids_B = super()._choose(logits_BV)
            any_B = rng.integers(3, logits_BV.shape[1], size=len(ids_B))
            is_planted_B = rng.random(len(ids_B)) < uniform_share
            planted += int(is_planted_B.sum())
            return np.where(is_planted_B, any_B, ids_B)

    honest, decoding.Batch = decoding.Batch, PartlyUniform
    try:
        samples = decoding.generate(
            run.load_model("best"),
            run.tokenizer,
            [prompt.text for prompt in load_prompts()],
            settings,
            max_tokens=MAX_TOKENS,
            profile=run.spec.text.profile,
        )
    finally:
        decoding.Batch = honest
    if uniform_share and not planted:
        raise RuntimeError("tokens are not chosen in Batch._choose any more: nothing was planted")
    rows = [asdict(sample) | {"tokens": len(sample.ids)} for sample in samples]
    facts = {"settings": asdict(settings), "max_tokens": MAX_TOKENS, "seed": 42}
    return facts | {"samples": rows}


def spoilt(table, number, text):
    """The first `number` samples replaced, each by `text(old)`."""
    table = copy.deepcopy(table)
    for row in table["samples"][:number]:
        row["text"] = text(row["text"])
    return table


def faults(run, others, corpus):
    """Name and table of samples, the honest ones first."""
    usual, flat = SamplerSettings(), SamplerSettings(temperature=1.0, top_p=None)
    own = read_json(run.layout.samples)
    yield "its own", own
    yield "own, greedy and said so", written(run, SamplerSettings(greedy=True))
    penalised = SamplerSettings(top_k=40, repetition_penalty=1.3)
    yield "own, top-k and penalty, said so", written(run, penalised)
    yield "own, temperature 1, said so", written(run, flat)
    yield "own, temperature 1, said to be 0.8", written(run, flat) | {"settings": asdict(usual)}
    for share in (1.0, 0.3, 0.1, 0.05, 0.02):
        yield f"{share:.0%} of the tokens uniform", written(run, usual, uniform_share=share)
    for other in others:
        yield f"those of {other.name}", read_json(other.layout.samples)
    yield "mojibake", spoilt(own, 20, lambda text: text.encode().decode("latin-1"))
    yield "4 of 20 in a loop", spoilt(own, 4, lambda text: (LOOP * 20)[: max(60, len(text))])
    document = [d for d in corpus.documents("train") if len(d.text) > 300][5]
    yield "1 of 20 from the training text", spoilt(own, 1, lambda _: document.text[100:300])
    yield "English", spoilt(own, 20, lambda text: (ENGLISH * 6)[: max(80, len(text))])


def print_faults(arguments):
    run, *others = [open_run(path) for path in arguments.runs]
    corpus = Corpus.open(arguments.data or run.data_path)
    print(f"{run.name}\n\n| samples | bits per token | excess | verdict | fails | cause |")
    print("|---|---:|---:|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "samples.json"
        for name, table in faults(run, others, corpus):
            write_json(path, table)
            found = guard_samples(Subject(run, corpus, device="cpu"), read_samples(path)).to_json()
            records = {**found["guardrails"], "origin": found["origin"]}
            failed = [n for n, record in records.items() if record["verdict"] == "fail"]
            causes = ", ".join(cause["cause"] for cause in found["causes"])
            bits, excess = (records[n]["value"] for n in ("self_likelihood", "origin"))
            print(
                f"| {name} | {bits:.2f} | {excess:+.2f} | {found['verdict']} "
                f"| {', '.join(failed)} | {causes} |",
                flush=True,
            )


def print_choices(arguments):
    print(
        "| run | human: shared words | limits of 20, 25, 30 planted | Portuguese: human, noise "
        "| limits at 0.35, 0.25, 0.15 | contradicted |\n|---|---|---|---|---|---|"
    )
    for run in [open_run(path) for path in arguments.runs]:
        corpus = Corpus.open(arguments.data or run.data_path)
        print(f"| {run.spec.name} | {' | '.join(choices(run, corpus))} |", flush=True)


def choices(run, corpus, checks=5):
    """The cells of a run: controls of the one half, limits, what the other half says of them."""
    groups = sorted({(d.source, d.group) for d in corpus.documents("validation")})
    first = set(groups[::2])
    halves = [[], []]
    for document in corpus.documents("validation"):
        halves[(document.source, document.group) not in first].append(document)
    texts = [row["text"] for row in read_json(run.layout.samples)["samples"] if row["text"]]
    lengths = [len(ids) for ids in run.tokenizer.encode_batch(texts)]

    def of(half, sets, seed):
        human = controls.human(half, run.tokenizer, lengths * sets, seed=seed)
        noise = controls.noise(human, run.tokenizer, lengths * sets, seed=seed)
        return {
            "human": human,
            "noise": noise,
            "shuffled_characters": controls.shuffled_characters(human, seed=seed),
        }

    made = of(halves[0], 3, 1)
    verbatim = controls.human(corpus.documents("train"), run.tokenizer, lengths * 3, seed=1)
    made |= {"verbatim": verbatim, "english": controls.foreign(made["human"], "english")}
    made |= {"spanish": controls.foreign(made["human"], "spanish")}
    others = [of(halves[1], 1, 10 + seed) for seed in range(checks)]
    humans = [made["human"], *(other["human"] for other in others)]
    copies = iter(
        longest_copies(
            [one.text for texts in humans for one in texts],
            (document.text for document in corpus.documents("train")),
        )
    )
    shared, *shared_others = [max(next(copies).words for _ in texts) for texts in humans]

    def measured(texts):
        return [SimpleNamespace(source=one.source, languages=languages(one.text)) for one in texts]

    (language,) = [one for one in guardrail.guardrails() if one.name == "language"]
    calibration = {name: measured(texts) for name, texts in made.items()}
    values = {
        name: [language.value(measured(other[name])) for other in others]
        for name in ("human", "noise")
    }
    planted = {words: (shared + words) / 2 for words in (20, 25, 30)}
    wrong = [f"{n} words" for n, limit in planted.items() if max(shared_others) > limit]
    at = {}
    for place in (0.35, 0.25, 0.15):
        placed = replace(language, limit_place=place)
        limit = guardrail.calibrate(placed, calibration, len(lengths)).edge.value
        at[place] = limit
        if limit is None or min(values["human"]) < limit or max(values["noise"]) >= limit:
            wrong.append(f"place {place}")
    yield f"{shared}; {', '.join(map(str, shared_others))}"
    yield ", ".join(f"{limit:.1f}" for limit in planted.values())
    yield f"{min(values['human']):.3f} at least, {max(values['noise']):.3f} at most"
    yield ", ".join("none" if limit is None else f"{limit:.3f}" for limit in at.values())
    yield ", ".join(wrong) or "none"


def print_pieces(arguments):
    corpus = Corpus.open(arguments.data)
    training = [document.text for document in corpus.documents("train")]
    test = list(corpus.documents("test"))
    print("| tokenizer | text | byte pieces | short pieces |\n|---|---|---:|---:|")
    for kind, size in (("bpe", 1024), ("bpe", 4096), ("bpe", 16384), ("unigram", 4096)):
        tokenizer = train_tokenizer(TokenizerSpec(kind=kind, vocab_size=size), training)
        lengths = [MAX_TOKENS] * 100
        human = controls.human(test, tokenizer, lengths, seed=0)
        texts = {"human, all": [document.text for document in test]}
        for source in sorted({document.source for document in test}):
            texts[f"human, {source}"] = [d.text for d in test if d.source == source]
        noise = controls.noise(human, tokenizer, lengths, seed=0)
        shuffled = controls.shuffled_characters(human, seed=0)
        texts["uniform noise"] = [one.text for one in noise]
        texts["shuffled letters"] = [one.text for one in shuffled]
        for name, of_name in texts.items():
            found = tokenizer_statistics(tokenizer, of_name)
            shares = f"{found.fallback_ratio:.2%} | {found.short_piece_ratio:.1%}"
            print(f"| {kind} {size} | {name} | {shares} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("faults", "pieces", "choices"))
    parser.add_argument("runs", nargs="*", type=Path)
    parser.add_argument("--data", type=Path)
    chosen = parser.parse_args()
    {"faults": print_faults, "pieces": print_pieces, "choices": print_choices}[chosen.what](chosen)
