"""Token ids in, logits out.

One file is one architecture: `recurrent` (v1-v4) and `transformer` (v5, v_final). A spec's
`model.kind` is the file's name. Each offers `Config` (its `[model]` table) and `Model`, a
`LanguageModel`.
"""
