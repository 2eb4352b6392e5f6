"""One TOML file is one rung of the ladder."""
