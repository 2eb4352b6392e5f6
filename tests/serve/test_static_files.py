"""The playground's files, and what it is told of the ladder."""

import pytest

from escada.serve.routes import playground


@pytest.fixture
def folder(tmp_path, monkeypatch):
    folder = tmp_path / "static"
    (folder / "inner").mkdir(parents=True)
    (folder / "index.html").write_text("<p>olá", encoding="utf-8")
    (folder / "inner" / "a.js").write_text("export const a = 1;")
    (folder / "notes.txt").write_text("not sent")
    (tmp_path / "secret.css").write_text("no")
    (folder / "link.css").symlink_to(tmp_path / "secret.css")
    monkeypatch.setattr(playground.files, "all_directories", [folder])
    return folder


def test_files_have_their_types_and_a_hash(here, folder):
    status, headers, body = here.request("GET", "/", raw=True)
    assert (status, body.decode()) == (200, "<p>olá")
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["cache-control"] == "no-cache"
    status, headers, _ = here.request("GET", "/static/inner/a.js", raw=True)
    assert status == 200
    assert headers["content-type"] == "text/javascript; charset=utf-8"
    status, headers, body = here.request("HEAD", "/", raw=True)
    assert (status, body) == (200, b"")
    assert headers["content-length"] == "7"


def test_types_do_not_depend_on_the_system(here, folder, monkeypatch):
    """On Windows the registry may say that .js is text/plain, which a browser refuses to run."""
    monkeypatch.setattr("mimetypes.guess_type", lambda *_, **__: ("text/plain", None))
    _, headers, _ = here.request("GET", "/static/inner/a.js", raw=True)
    assert headers["content-type"] == "text/javascript; charset=utf-8"


def test_a_copy_that_is_still_right_is_not_sent_again(here, folder):
    def get(known):
        return here.request("GET", "/", headers={"If-None-Match": known}, raw=True)

    etag = here.request("GET", "/", raw=True)[1]["etag"]
    for known in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        status, headers, body = get(known)
        assert (status, body) == (304, b"")
        assert headers["etag"] == etag
        assert headers["cache-control"] == "no-cache"
    (folder / "index.html").touch()
    assert get(etag)[0] == 304  # the hash is of the content, not of the time
    (folder / "index.html").write_text("<p>ola!", encoding="utf-8")
    status, headers, _ = get(etag)
    assert status == 200
    assert headers["etag"] != etag


@pytest.mark.parametrize(
    "name",
    ["missing.js", "notes.txt", "inner", "", "link.css", "../secret.css", "%2e%2e/secret.css",
     "..%2fsecret.css", "..%5csecret.css", "inner/../../secret.css", "/etc/hosts.css",
     "%2fetc/hosts.css", "a%00.js", "a" * 5000 + ".js"],
)  # fmt: skip
def test_nothing_else_is_sent(here, folder, name):
    status, _, answer = here.request("GET", f"/static/{name}")
    assert status == 404
    assert answer["error"]["type"] == "not_found_error"


def test_files_are_only_read(here, folder):
    status, _, answer = here.request("POST", "/static/inner/a.js", b"x")
    assert status == 405
    assert answer["error"]["message"] == "POST is not allowed at /static/inner/a.js."


def test_the_ladder_is_told_with_the_limits(here):
    status, _, ladder = here.request("GET", "/escada/ladder")
    assert status == 200
    assert ladder["schema_version"] == 1
    assert [rung["name"] for rung in ladder["rungs"]] == ["v1", "v5"]
    assert ladder["limits"] == {
        "max_prompt_tokens": 2048, "max_tokens": 1024, "n": 16, "stop": 4
    }  # fmt: skip
