"""The role of each parameter, so that an optimizer can have a learning rate per role.

    roles = parameter_roles(model)
    roles["matrices"]           # the parameters for Muon

| role | parameters |
|---|---|
| `tables` | embeddings with sparse gradients: a step changes few rows |
| `embeddings` | all other embeddings, tied to the output or not |
| `output` | the matrix that gives the logits |
| `matrices` | every other two-dimensional parameter |
| `vectors` | norms, biases, filters and all others |

A class attribute `role` of a module sets the role of its own parameters.
"""

from __future__ import annotations

from typing import Literal, get_args

from torch import nn

Role = Literal["matrices", "embeddings", "tables", "output", "vectors"]
ROLES: tuple[Role, ...] = get_args(Role)


def parameter_roles(model: nn.Module) -> dict[Role, list[nn.Parameter]]:
    """The parameters of a model by role, in model order, tied ones once.

    The output is the linear layer with `model.vocab_size` outputs.
    """
    vocab_size = getattr(model, "vocab_size", None)
    named: dict[int, Role] = {}
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            named[id(module.weight)] = "tables" if module.sparse else "embeddings"
        elif isinstance(module, nn.Linear) and module.out_features == vocab_size:
            named.setdefault(id(module.weight), "output")
        if (role := getattr(type(module), "role", None)) is not None:
            named |= {id(parameter): role for parameter in module.parameters(recurse=False)}
    roles: dict[Role, list[nn.Parameter]] = {role: [] for role in ROLES}
    for parameter in model.parameters():
        usual: Role = "matrices" if parameter.ndim == 2 else "vectors"
        roles[named.get(id(parameter), usual)].append(parameter)
    return roles
