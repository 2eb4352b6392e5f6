"""The page's files, and what it is told of the ladder."""

import pytest

from escada.serve import page
from escada.serve.errors import ApiError
from escada.serve.page import static_file


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "index.html").write_text("<p>olá", encoding="utf-8")
    (tmp_path / "inner" / "a.js").write_text("export const a = 1;")
    (tmp_path / "notes.txt").write_text("not handed out")
    (tmp_path.parent / "secret.css").write_text("no")
    return tmp_path


def test_files_have_their_types_and_a_hash(folder):
    answer = static_file("index.html", None, folder)
    assert answer.body.decode() == "<p>olá"
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    script = static_file("inner/a.js", None, folder)
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"


def test_a_copy_that_is_still_right_is_not_sent_again(folder):
    etag = static_file("index.html", None, folder).headers["etag"]
    for known in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        again = static_file("index.html", known, folder)
        assert (again.status_code, again.body) == (304, b"")
        assert again.headers["etag"] == etag
    (folder / "index.html").write_text("<p>outra")
    changed = static_file("index.html", etag, folder)
    assert changed.status_code == 200
    assert changed.headers["etag"] != etag


@pytest.mark.parametrize(
    "name",
    ["missing.js", "notes.txt", "inner", "", "../secret.css", "inner/../../secret.css",
     "/etc/hosts.css", "a\0.js", "a" * 5000 + ".js"],
)  # fmt: skip
def test_nothing_else_is_handed_out(folder, name):
    with pytest.raises(ApiError) as caught:
        static_file(name, None, folder)
    assert caught.value.status == 404


def test_the_server_hands_out_the_page(here, folder, monkeypatch):
    monkeypatch.setattr(page, "FOLDER", folder)
    status, headers, body = here.request("GET", "/", raw=True)
    assert (status, body.decode()) == (200, "<p>olá")
    status, _, body = here.request("HEAD", "/", raw=True)
    assert (status, body) == (200, b"")
    etag = {"If-None-Match": headers["etag"]}
    assert here.request("GET", "/", headers=etag, raw=True)[0] == 304
    assert here.request("GET", "/static/inner/a.js", raw=True)[0] == 200
    for path in ("/static/../page.py", "/static/%2e%2e/secret.css", "/static/..%2fsecret.css"):
        assert here.request("GET", path)[0] == 404


def test_the_ladder_is_told_with_the_limits(here):
    status, _, ladder = here.request("GET", "/escada/ladder")
    assert status == 200
    assert ladder["schema_version"] == 1
    assert [rung["name"] for rung in ladder["rungs"]] == ["v1", "v5"]
    assert ladder["limits"] == {
        "max_prompt_tokens": 2048, "max_tokens": 1024, "n": 16, "stop": 4
    }  # fmt: skip
