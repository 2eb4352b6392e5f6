"""Token ids in, logits out.

An architecture is one module; `model.kind` in a spec is its name. It defines `Config` (its
`[model]` table) and `Model`, a `LanguageModel`. Optional: `EXPORTS`, its forms of `escada.export`,
and `NOT_EXPORTED`, why not others; `SLOW_COMPILED`, why `torch.compile` does not pay on a GPU; and
`PLANNED_EFFICIENCY`, its efficiency on a GPU relative to a Transformer, assumed by plans.
"""
