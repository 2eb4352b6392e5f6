"""Files that travel with an export of a run, for transformers to load from its folder.

They import nothing of escada. Escada itself imports `network_escada`, for v_next's ONNX graph.
"""
