"""`escada serve`: what it says at its start; what it does then is in tests/serve."""

import pytest
import typer
from tests.serve.conftest import usual_models
from typer.testing import CliRunner

from escada.cli.serve import serve

app = typer.Typer()
app.command()(serve)


@pytest.fixture
def said(monkeypatch, run):
    """What a service says when it is ready; it serves nobody."""

    def ready(server):
        server._ready()
        server.address.socket.close()

    monkeypatch.setattr("escada.serve.models.open_models", lambda *_, **__: usual_models())
    monkeypatch.setattr("escada.serve.server.run", ready)

    def start(*options: str) -> list[str]:
        done = CliRunner().invoke(app, [str(run.path), "--port", "0", *options])
        assert done.exit_code == 0, done.output
        return done.stderr.splitlines()

    return start


def test_it_says_where_it_serves_and_no_more(said):
    (line,) = said()
    assert line.startswith("Serving v1, v5 at http://127.0.0.1:")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--max-queue", "8"], "At most 6 samples per request, not 16"),
        (["--max-n", "300"], "At most 192 samples per request, not 300"),
    ],
)
def test_a_limit_that_the_queue_lowers_is_said(said, options, expected):
    line = said(*options)[1]
    assert line.startswith(expected)
    assert "--max-queue" in line
