"""Token ids in, logits out.

One file is one architecture: `recurrent` (v1-v4) and `transformer` (v5, v_final). A spec's
`model.kind` is the file's name. Each offers `Config` (its `[model]` table) and `Model`, a
`LanguageModel`; and, where it applies, `EXPORTS`, the forms of `escada.export` that its kind has,
`SLOW_COMPILED`, why `torch.compile` does not pay on a GPU, and `PLANNED_EFFICIENCY`, the share of a
Transformer's efficiency that a plan assumes of it on a GPU.
"""
