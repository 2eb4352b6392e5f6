"""SentencePiece, with every rule off that would change or drop text."""

import itertools
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from escada.errors import EscadaError
from escada.text.tokenizers import subwords
from escada.text.tokenizers.subwords import SubwordTokenizer, cut_line, sample_lines

_rng = random.Random(1)
SYLLABLES = "ca da es la ma men ni no pa ra sa ta ti to tra ção ões lh nh qu".split()
WORDS = ["".join(_rng.choices(SYLLABLES, k=_rng.randint(1, 4))) for _ in range(400)]
LINES = [" ".join(_rng.choices(WORDS, k=8)) for _ in range(400)]


def train(documents=LINES, kind="bpe", vocab_size=400, **options):
    return SubwordTokenizer.train(documents, kind=kind, vocab_size=vocab_size, **options)


BPE, UNIGRAM = train(), train(kind="unigram")
both = pytest.mark.parametrize("tokenizer", [BPE, UNIGRAM], ids=["bpe", "unigram"])


@both
def test_the_vocabulary_has_exactly_the_size_asked_for(tokenizer):
    assert tokenizer.vocab_size == 400
    assert len({tokenizer.token_text(i) for i in range(400)}) == 400


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_training_twice_gives_the_same_tokenizer(kind):
    again = train(kind=kind)
    assert again.hash == (BPE if kind == "bpe" else UNIGRAM).hash
    assert train(LINES[1:], kind=kind).hash != again.hash


@both
def test_pieces_are_learned(tokenizer):
    text = " ".join(LINES)
    assert len(tokenizer.encode(text)) < len(text) / 2


@both
def test_a_line_break_is_one_token(tokenizer):
    ids = tokenizer.encode("casa\n\nmenta")
    assert [tokenizer.token_text(i) for i in ids].count("\n") == 2


def test_a_literal_lower_block_is_its_three_bytes():
    ids = BPE.encode("▁")
    assert [BPE.token_text(i) for i in ids] == [b"\xe2", b"\x96", b"\x81"]


@pytest.mark.parametrize("hidden", ["\0", "▁", "▅", "\n", "<s>", "<unk>", "<0x0A>", "\t"])
def test_lines_with_characters_that_the_trainer_uses_are_trained_on(hidden):
    """The trainer would drop these lines: every word here stands beside such a character."""
    lines = [f"{hidden} zwyx zwyx {hidden} zwyx" for _ in range(200)]
    tokenizer = train(LINES + lines)
    assert len(tokenizer.encode(" zwyx")) == 1
    text = f"x{hidden} zwyx{hidden}{hidden}"
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_long_lines_are_trained_on():
    """4,192 bytes is the trainer's limit; this is one line of 60,000."""
    tokenizer = train([*LINES, " ".join(["zwyxkj"] * 9_000)])
    assert len(tokenizer.encode(" zwyxkj")) == 1


@both
@pytest.mark.parametrize("joint", ["  ", "\n", "\n\n ", " \n"])
def test_a_long_text_has_the_ids_that_it_has_uncut(tokenizer, monkeypatch, joint):
    text = joint.join(LINES[:40]) + joint
    cut = tokenizer.encode(text).tolist()
    for part, line in ((10**9, 10**9), (20, 40), (1, 20)):
        monkeypatch.setattr(subwords, "PART_CHARACTERS", part)
        monkeypatch.setattr(subwords, "LINE_CHARACTERS", line)
        assert cut == tokenizer.encode(text).tolist()


@both
def test_a_text_has_the_ids_of_its_lines(tokenizer):
    lines = [*LINES[:9], "", " ", "", LINES[9]]
    expected = []
    for line in lines:
        expected += [*tokenizer.encode(line).tolist(), subwords.NEWLINE_ID]
    assert tokenizer.encode("\n".join(lines)).tolist() == expected[:-1]


@given(st.text("ab \n", max_size=60), st.integers(2, 9), st.integers(2, 9))
def test_cut_lines_join_to_the_line(line, limit, usual):
    limit, usual = max(limit, usual), min(limit, usual)
    parts = cut_line(line, limit, usual)
    assert "".join(parts) == line
    assert all(0 < len(part) <= limit for part in parts)


def test_a_line_is_cut_before_a_space_where_there_is_one():
    assert cut_line("abc de fgh", 6) == ["abc de", " fgh"]
    assert cut_line("abcdefgh i", 5) == ["abcd", "efgh", " i"]
    assert cut_line("ab\ncdef", 5) == ["ab", "\ncdef"]


def test_a_line_is_cut_at_its_usual_length_if_a_space_is_there_and_else_within_the_limit():
    assert cut_line("ab cd ef gh", 8, 4) == ["ab", " cd", " ef", " gh"]
    assert cut_line("abcdef gh", 8, 4) == ["abcdef", " gh"]
    assert cut_line("abcdefghij", 9, 4) == ["abcdefgh", "ij"]
    assert cut_line("abcdef", 8, 4) == ["abcdef"]


@given(st.text("ab \n", max_size=30), st.text("ab \n", max_size=30), st.integers(2, 9))
def test_words_are_cut_alike_whatever_stands_around_them(before, after, limit):
    word = "abcdefghijklmnopqrstuvwxyz"

    def cuts_within_the_word(line: str) -> list[int]:
        begin = line.index(word)
        ends = itertools.accumulate(len(part) for part in cut_line(line, limit, 2))
        return [end - begin for end in ends if 0 < end - begin < len(word)]

    around = cuts_within_the_word(f"{before}\n{word}\n{after}")
    assert around
    assert around == cuts_within_the_word(word)


@given(st.integers(1, 50), st.integers(0, 80))
def test_a_sample_keeps_all_lines_up_to_its_limit(limit, n):
    lines = [str(i) for i in range(n)]
    kept = sample_lines(lines, limit)
    assert len(kept) == min(n, limit)
    assert len(set(kept)) == len(kept)
    if n <= limit:
        assert kept == lines
    assert kept == sample_lines(iter(lines), limit)


def test_a_sample_takes_late_lines_as_often_as_early_ones():
    kept = np.array([int(line) for line in sample_lines((str(i) for i in range(10_000)), 1_000)])
    assert abs(kept.mean() - 5_000) < 400


def test_a_space_in_front_and_at_the_end_is_kept_and_none_is_added():
    assert BPE.decode(BPE.encode("  casa ")) == "  casa "
    assert BPE.token_text(int(BPE.encode("ca")[0])) in ("c", "ca")


def test_characters_are_not_normalised():
    for text in ("ﬁ ½ Å Å e\u0301 é", "\u00a0\u3000\u200b"):
        assert BPE.decode(BPE.encode(text)) == text


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_too_large_a_vocabulary_names_the_largest_that_fits(kind):
    with pytest.raises(
        EscadaError, match="too large for the corpus: the largest that fits is"
    ) as e:
        train(kind=kind, vocab_size=60_000)
    assert "\n" not in str(e.value)
    largest = int(str(e.value).split("that fits is ")[1].split(" ")[0])
    assert train(kind=kind, vocab_size=largest).vocab_size == largest
    with pytest.raises(EscadaError, match=f"that fits is {largest}"):
        train(kind=kind, vocab_size=largest + 1)


def test_too_small_a_vocabulary_names_the_smallest_that_fits():
    with pytest.raises(EscadaError, match=r"it needs \d+ at least") as e:
        train(vocab_size=262)
    smallest = int(str(e.value).split("it needs ")[1].split(" ")[0])
    assert train(vocab_size=smallest).vocab_size == smallest


@pytest.mark.parametrize("documents", [[], [""], ["\n\0\n"]])
def test_no_text_is_one_clear_error(documents):
    with pytest.raises(EscadaError, match="no text to train a tokenizer on"):
        train(documents)


def test_training_and_loading_print_nothing(capfd):
    train()
    with pytest.raises(EscadaError):
        train(vocab_size=60_000)
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("stretch", [1, 100, 10**6])
def test_neither_threads_nor_what_they_take_at_a_time_change_an_id(monkeypatch, threads, stretch):
    texts = ["\n".join(LINES[i : i + 5]) for i in range(0, 400, 5)]
    texts[7:7] = ["", "\n", "ca\N{LOWER ONE EIGHTH BLOCK} da", "".join(WORDS), "", " ma "]
    expected = [BPE.encode(text).tolist() for text in texts]
    monkeypatch.setattr(subwords, "STRETCH_CHARACTERS", stretch)
    tokenizer = SubwordTokenizer(BPE.model, kind="bpe", threads=threads)
    assert [ids.tolist() for ids in tokenizer.encode_batch(texts)] == expected
