"""A trained run in the forms that other libraries read.

    forms/transformers  for Hugging Face: safetensors, configuration, tokenizer, card
    forms/gguf          one file for llama.cpp
    forms/onnx          one graph for ONNX Runtime, with its tokenizer beside it

Each form is checked by the library that it is for: `checks` compares its logits and its tokens with
ours. docs/exports.md has the figures and the limits.
"""
