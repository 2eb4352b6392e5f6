"""The packed stream: written, mapped, read across its shards, refused when damaged."""

import errno
import hashlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from escada.errors import EscadaError
from escada.files import content_hash, read_json, write_json
from escada.text import shards
from escada.text.shards import TokenStream, write_stream
from escada.text.tokenizers.bytes import ByteTokenizer
from escada.text.tokenizers.characters import CharacterTokenizer

DOCUMENTS = ["casa", "", "escada\nalta", "ã" * 40, "fim"]


def expected_tokens(documents=DOCUMENTS) -> list[int]:
    tokenizer = ByteTokenizer()
    return [
        token
        for text in documents
        for token in [tokenizer.bos_id, *text.encode(), tokenizer.eos_id]
    ]


def write(folder, documents=DOCUMENTS, tokenizer=None, **options) -> TokenStream:
    return write_stream(
        folder, documents, tokenizer or ByteTokenizer(), corpus_hash="corpus", **options
    )


@pytest.fixture(scope="module")
def stream(tmp_path_factory) -> TokenStream:
    return write(tmp_path_factory.mktemp("shards") / "tokens", shard_tokens=7)


def test_each_document_stands_between_bos_and_eos(stream):
    tokens = expected_tokens()
    assert stream.n_tokens == len(tokens)
    assert stream.read(0, stream.n_tokens).tolist() == tokens


def test_document_starts_point_at_each_bos(stream):
    tokens = np.array(expected_tokens())
    assert stream.n_documents == len(DOCUMENTS)
    assert stream.document_starts.dtype == np.int64
    assert stream.document_starts.tolist() == np.flatnonzero(tokens == 256).tolist()


def test_shards_have_the_size_asked_for(stream):
    sizes = [len(np.fromfile(f, "<u2")) for f in sorted(stream.path.glob("train-*.bin"))]
    assert sizes[:-1] == [7] * (len(sizes) - 1)
    assert sum(sizes) == stream.n_tokens
    assert (stream.path / "train-00000.bin").exists()


@given(start=st.integers(-300, 600), length=st.integers(0, 500))
def test_reading_crosses_shards_and_goes_round(stream, start, length):
    circle = np.array(expected_tokens())
    ids = stream.read(start, length)
    assert ids.dtype == np.int64
    assert ids.tolist() == circle[(start + np.arange(length)) % len(circle)].tolist()


@given(data=st.data())
def test_windows_equal_reads(stream, data):
    n = stream.n_tokens
    starts = data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=8))
    length = data.draw(st.integers(1, 2 * n))
    windows = stream.windows(np.array(starts), length)
    assert windows.shape == (len(starts), length)
    assert windows.dtype == np.int64
    assert windows.tolist() == [stream.read(start, length).tolist() for start in starts]


def test_the_stream_remembers_what_it_was_made_from(stream):
    again = TokenStream.open(stream.path)
    assert again.tokenizer_hash == ByteTokenizer().hash
    assert (again.corpus_hash, again.vocab_size) == ("corpus", 258)
    assert again.hash == stream.hash


def test_the_hash_follows_the_content(tmp_path):
    one = write(tmp_path / "one")
    assert write(tmp_path / "two").hash == one.hash
    assert write(tmp_path / "three", [*DOCUMENTS, "x"]).hash != one.hash
    other = write_stream(tmp_path / "four", DOCUMENTS, ByteTokenizer(), corpus_hash="another")
    assert other.hash != one.hash


def test_chunks_of_any_size_give_the_same_stream(tmp_path, monkeypatch):
    whole = write(tmp_path / "whole")
    monkeypatch.setattr(shards, "CHUNK_CHARACTERS", 5)
    seen = []
    chunked = write(tmp_path / "chunked", progress=lambda *done: seen.append(done))
    assert chunked.hash == whole.hash
    assert len(seen) > 2
    assert seen[-1] == (whole.n_documents, whole.n_tokens)


def test_documents_are_never_all_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "CHUNK_CHARACTERS", 100)
    written = []
    ahead = []

    def documents():
        for number in range(50):
            ahead.append(number - (written[-1] if written else 0))
            yield "x" * 60

    write(tmp_path / "tokens", documents(), progress=lambda docs, _: written.append(docs))
    assert max(ahead) <= 2


@pytest.mark.parametrize(("n_characters", "bytes_each"), [(65_533, 2), (65_534, 4)])
def test_ids_above_65535_take_four_bytes(tmp_path, n_characters, bytes_each):
    points = [p for p in range(0x20, 0x20000) if not 0xD800 <= p < 0xE000][:n_characters]
    tokenizer = CharacterTokenizer(map(chr, points))
    last = chr(points[-1])
    stream = write(tmp_path / "tokens", [last, " "], tokenizer)
    assert stream.read(0, 6).tolist() == [1, tokenizer.vocab_size - 1, 2, 1, 3, 2]
    assert (stream.path / "train-00000.bin").stat().st_size == 6 * bytes_each


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-2])


def _flip(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def _remove(path):
    path.unlink()


@pytest.mark.parametrize("file", ["train-00000.bin", "train-00002.bin", "document_starts.npy"])
@pytest.mark.parametrize(
    ("damage", "what"), [(_truncate, "truncated"), (_flip, "corrupted"), (_remove, "missing")]
)
def test_a_damaged_file_is_named_with_its_remedy(tmp_path, file, damage, what):
    folder = tmp_path / "tokens"
    write(folder, shard_tokens=16)
    damage(folder / file)
    with pytest.raises(EscadaError) as caught:
        TokenStream.open(folder)
    assert str(caught.value).startswith(f"{what} shard")
    assert str(folder / file) in str(caught.value)
    assert f"remove {folder} and repeat" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_truncated_shard_is_noticed_without_verification(tmp_path):
    write(tmp_path / "tokens")
    _truncate(tmp_path / "tokens/train-00000.bin")
    with pytest.raises(EscadaError, match="truncated"):
        TokenStream.open(tmp_path / "tokens", verify=False)


def test_a_changed_manifest_is_refused(tmp_path):
    write(tmp_path / "tokens")
    path = tmp_path / "tokens/manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"n_documents": 4}))
    with pytest.raises(EscadaError, match="corrupted manifest"):
        TokenStream.open(tmp_path / "tokens")
    path.write_text(json.dumps(manifest | {"schema_version": 7}))
    with pytest.raises(EscadaError, match="schema version 7"):
        TokenStream.open(tmp_path / "tokens")


def _sealed_again(folder, change) -> None:
    """Change a manifest as its maker could: with every hash and checksum made anew."""
    table = read_json(folder / "manifest.json")
    table.pop("hash")
    change(folder, table)
    for entry in [table["document_starts"], *table["shards"]]:
        data = (folder / entry["file"]).read_bytes() if (folder / entry["file"]).exists() else b""
        entry["sha256"] = hashlib.sha256(data).hexdigest()
    table["document_starts"]["bytes"] = (folder / "document_starts.npy").stat().st_size
    write_json(folder / "manifest.json", {"hash": content_hash(table), **table})


def _starts(change):
    def save(folder, table):
        path = folder / "document_starts.npy"
        np.save(path, change(np.load(path)))

    return save


def _id_above(folder, table):
    path = folder / table["shards"][1]["file"]
    ids = np.fromfile(path, "<u2")
    ids[3] = 60_000
    ids.tofile(path)


def _header_of_a_petabyte(folder, table):
    header = {"descr": "<i8", "fortran_order": False, "shape": (2**47,)}
    with (folder / "document_starts.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.write(bytes(64))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda _, table: table.update(dtype="object"), "corrupted manifest"),
        (lambda _, table: table.update(dtype="<f4"), "corrupted manifest"),
        (lambda _, table: table.update(n_tokens=table["n_tokens"] + 1), "corrupted manifest"),
        (lambda _, table: table["shards"][0].update(file="../other.bin"), "corrupted manifest"),
        (lambda _, table: table["shards"][0].update(file="/etc/hostname"), "corrupted manifest"),
        (lambda _, table: table["document_starts"].update(file="a.npy"), "corrupted manifest"),
        (lambda _, table: table.update(n_documents=4), "not int64 positions of shape"),
        (_starts(lambda starts: starts[::-1]), "positions that are not"),
        (_starts(lambda starts: starts + 1000), "positions that are not"),
        (_starts(lambda starts: starts.astype(float)), "not int64 positions of shape"),
        (_header_of_a_petabyte, "document_starts.npy"),
        (_id_above, "token 60000 is outside the vocabulary"),
    ],
)
def test_a_manifest_that_its_maker_sealed_is_not_believed(tmp_path, change, what):
    folder = write(tmp_path / "tokens", shard_tokens=7).path
    _sealed_again(folder, change)
    with pytest.raises(EscadaError) as error:
        TokenStream.open(folder, verify=True)
    assert what in str(error.value)
    assert str(folder) in str(error.value)


def test_a_folder_without_tokens_is_one_clear_error(tmp_path):
    with pytest.raises(EscadaError, match="no tokens here"):
        TokenStream.open(tmp_path)


def test_no_documents_is_an_error_and_leaves_nothing(tmp_path):
    with pytest.raises(EscadaError, match="no documents to tokenise"):
        write(tmp_path / "tokens", [])
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_not_overwritten(tmp_path):
    stream = write(tmp_path / "tokens")
    with pytest.raises(EscadaError, match="folder exists"):
        write(tmp_path / "tokens", ["other"])
    assert TokenStream.open(tmp_path / "tokens").hash == stream.hash


def test_a_failure_on_the_way_leaves_nothing(tmp_path):
    def full_disk(documents, tokens):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(EscadaError, match="disk full"):
        write(tmp_path / "tokens", progress=full_disk)
    assert list(tmp_path.iterdir()) == []


def test_an_id_outside_the_vocabulary_is_never_written(tmp_path):
    class Broken(ByteTokenizer):
        vocab_size = 257  # its EOS is 257

    with pytest.raises(ValueError, match="outside its vocabulary"):
        write(tmp_path / "tokens", tokenizer=Broken())


class ManyIds(ByteTokenizer):
    """The bytes as ids above all that 16 bits hold."""

    kind = "many_ids"
    vocab_size = 70_258
    bos_id, eos_id = 70_256, 70_257

    def encode(self, text):
        return super().encode(text) + 70_000


def test_ids_above_65_535_are_kept_in_32_bits(tmp_path):
    stream = write(tmp_path / "many", tokenizer=ManyIds(), shard_tokens=7)
    assert stream.path.joinpath("train-00000.bin").stat().st_size == 4 * 7
    expected = np.array(expected_tokens()) + 70_000
    for opened in (stream, TokenStream.open(stream.path)):
        assert opened.vocab_size == 70_258
        assert opened.read(0, opened.n_tokens).tolist() == expected.tolist()
        windows = opened.windows(np.array([0, opened.n_tokens - 3]), 9)
        assert windows.tolist() == [np.roll(expected, -n)[:9].tolist() for n in (0, -3)]


@pytest.mark.parametrize(("local_rank", "verifies"), [(None, True), ("0", True), ("1", False)])
def test_one_process_of_a_machine_verifies_the_checksums(
    tmp_path, monkeypatch, local_rank, verifies
):
    stream = write(tmp_path / "tokens")
    file = stream.path / "train-00000.bin"
    data = bytearray(file.read_bytes())
    data[0] ^= 1
    file.write_bytes(data)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    if local_rank is not None:
        monkeypatch.setenv("LOCAL_RANK", local_rank)
    if verifies:
        with pytest.raises(EscadaError, match="corrupted shard"):
            TokenStream.open(stream.path)
    else:
        TokenStream.open(stream.path)
    file.write_bytes(data[:-2])
    with pytest.raises(EscadaError, match="truncated shard"):
        TokenStream.open(stream.path)
