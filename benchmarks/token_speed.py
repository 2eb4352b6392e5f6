"""How fast text becomes tokens and tokens become batches, on one core.

    python benchmarks/token_speed.py CORPUS [--unigram]

CORPUS is a prepared corpus folder; its training split is encoded in memory. Seconds are those of
the process, not of the clock, so that a busy machine blurs them less; the best of several rounds
counts.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from escada.spec import TokenizerSpec
from escada.text.batches import WindowBatches
from escada.text.corpus import Corpus
from escada.text.shards import TokenStream, write_stream
from escada.text.tokenizers import train_tokenizer
from escada.text.tokenizers.subwords import SubwordTokenizer


def best_seconds(action: Callable[[], object], rounds: int = 5) -> float:
    times: list[float] = []
    for _ in range(rounds):
        begin = time.process_time()
        action()
        times.append(time.process_time() - begin)
    return min(times)


def run(batches: WindowBatches, steps: int) -> None:
    for step in range(steps):
        batches.batch(step)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--unigram", action="store_true", help="also train unigram (15 s)")
    arguments = parser.parse_args()
    texts = [document.text for document in Corpus.open(arguments.corpus).documents("train")]
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    joined = "\n".join(texts)
    print(f"{len(texts)} documents, {megabytes:.2f} MB")

    specs = [TokenizerSpec(kind="characters"), TokenizerSpec(kind="bytes")]
    specs.append(TokenizerSpec(kind="bpe", vocab_size=4096))
    if arguments.unigram:
        specs.append(TokenizerSpec(kind="unigram", vocab_size=4096))
    for spec in specs:
        begin = time.process_time()
        tokenizer = train_tokenizer(spec, texts)
        trained = time.process_time() - begin
        if isinstance(tokenizer, SubwordTokenizer):
            tokenizer = SubwordTokenizer(tokenizer.model, kind=tokenizer.kind, threads=1)
        each = megabytes / best_seconds(lambda t=tokenizer: t.encode_batch(texts))
        whole = megabytes / best_seconds(lambda t=tokenizer: t.encode(joined))
        ids = tokenizer.encode(joined)
        back = megabytes / best_seconds(lambda t=tokenizer, i=ids: t.decode(i))
        print(
            f"{spec.kind:<11} train {trained:6.2f} s   encode documents {each:7.1f} MB/s   "
            f"encode one text {whole:7.1f} MB/s   decode {back:6.1f} MB/s"
        )

    characters = train_tokenizer(specs[0], texts)
    with tempfile.TemporaryDirectory() as folder:
        for name, shard_tokens in (("one", 2**26), ("many", 2**18)):
            path = Path(folder) / name
            begin = time.process_time()
            stream = write_stream(
                path, texts, characters, corpus_hash="", shard_tokens=shard_tokens
            )
            written = megabytes / (time.process_time() - begin)
            check = best_seconds(lambda p=path: TokenStream.open(p))
            batches = WindowBatches(
                stream, window_tokens=256, stride_tokens=2, batch_sequences=64, seed=0
            )
            seconds = best_seconds(lambda b=batches: run(b, 4000))
            print(
                f"{len(list(path.glob('*.bin')))} shards: write {written:.0f} MB/s of text, "
                f"verify {2 * stream.n_tokens / 1e6 / check:.0f} MB/s, "
                f"{4000 / seconds:,.0f} batches/s of 64 x 256"
            )


if __name__ == "__main__":
    main()
