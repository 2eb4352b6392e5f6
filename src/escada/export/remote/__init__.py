"""Files that travel with an export of a recurrent run, for transformers to load from its folder.

Nothing of escada imports them, and they import nothing of escada.
"""
