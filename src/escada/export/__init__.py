"""Exports of a trained run for other libraries.

    forms/transformers  Hugging Face: safetensors, configuration, tokenizer, card
    forms/gguf          one file for llama.cpp
    forms/onnx          one graph for ONNX Runtime, with its tokenizer

`checks` compares logits and tokens of an export, loaded by its library, with ours. Figures and
limits: docs/exports.md.
"""
