"""escada: a ladder of Portuguese language models, measured by one ruler."""

__version__ = "0.1.0"
