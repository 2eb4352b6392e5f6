"""For the tests of text."""

from hypothesis import settings

settings.register_profile("no deadline", deadline=None)  # two cores, many processes
settings.load_profile("no deadline")
