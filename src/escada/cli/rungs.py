"""`escada rungs`: what the ladder is made of."""

from __future__ import annotations

from escada.cli import options


def rungs(json: options.Json = False) -> None:
    """List the rungs of the package, with what each sets out to do."""
    import json as json_module

    import typer

    from escada.spec import FULL, About, read_spec_table, rung_names

    rows: list[dict[str, object]] = []
    for name in rung_names():
        table, _ = read_spec_table(name)
        about = About.model_validate(table["about"])
        presets = [FULL, *table.get("presets", {})]
        rows.append({"name": name, "presets": presets, **about.model_dump(mode="json")})
        if not json:
            typer.echo(f"{name:8} {about.title.en} ({', '.join(presets)}): {about.changes.en}")
            typer.echo(f"{'':8} {about.objective.en}")
    if json:
        typer.echo(json_module.dumps(rows, ensure_ascii=False, indent=2))
