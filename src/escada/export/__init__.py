"""A trained run in the forms that other libraries read.

    hub          a folder for Hugging Face transformers: safetensors, configuration, tokenizer, card
    gguf_file    one file for llama.cpp
    onnx_file    one graph for ONNX Runtime, with its tokenizer beside it

Each form is checked by the library that it is for: `checks` compares its logits and its tokens with
ours. docs/exports.md has the figures and the limits.
"""
