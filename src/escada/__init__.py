"""escada: a ladder of Portuguese language models, measured by one ruler."""

from escada.moved import install

__version__ = "0.1.0"

install()
