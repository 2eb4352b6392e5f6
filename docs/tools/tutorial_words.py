"""What the tutorial's tables and pictures say, in both languages."""

from __future__ import annotations

from typing import Any

WORDS: dict[str, dict[str, Any]] = {
    "en": {
        "from": "Made on {date} from a climb of {budget} per rung (preset {preset}); the runs are {runs}.",
        "licence": "Porttinari-base, news of Folha de S.Paulo, CC BY 4.0; document `{id}` of the test split.",
        "size": "{characters} characters, {bytes} bytes.",
        "normaliser": [
            ("as it came", "damaged"),
            ("profile `reference`", "reference"),
        ],
        "unchanged": "The passage itself was tidy: `reference` leaves every byte of it as it is. The third "
        "line in the profile `roadmap` would be another text:",
        "changed": "The profile changes the passage itself too. Its third line in the profile `roadmap`:",
        "pieces_head": ("rung", "tokenizer", "the first line", "tokens of the passage"),
        "kinds": {"characters": "characters", "bpe": "BPE pieces"},
        "kinds_the": {"characters": "the characters", "bpe": "the BPE pieces"},
        "figures_head": (
            "rung",
            "tokens",
            "bits",
            "bits per token",
            "perplexity",
            "**bits per byte**",
        ),
        "arithmetic": """For {rung}, {pieces} and the end of the text are **{tokens} tokens**, and it charges **{bits} bits** for
all of them together:

    bits per token   {bits} / {tokens} = {per_token}
    perplexity       2 ^ {per_token} = {perplexity}
    bits per byte    {bits} / {bytes} = {per_byte}
""",
        "verdict": "The perplexity of v4 is **{times} times** that of v1, and yet v4 needs **{less} % fewer bits** for the "
        "same text. Its tokens are longer ({v4_bytes} bytes each, against {v1_bytes}), so there is more to guess in each "
        "and there are fewer of them. Only the bytes are the same for both.",
        "context_head": ("rung", "line by line, each from nothing", "in its place", "saved"),
        "prompt": "Prompt: *{prompt}*",
        "sample": "**{name}** ({tokens} tokens, {bits} bits each):",
        "comparison_head": (
            "",
            "on this passage",
            "on all test documents",
            "95 % interval",
            "p",
            "verdict",
        ),
        "against": "{a} against {b}",
        "verdicts": {"better": "better", "worse": "worse", "undecided": "undecided"},
        "signs": "Between {a} and {b} the passage says the opposite of the test documents together: one text decides nothing.",
        "same_signs": "Here the passage and all documents agree in sign; they need not.",
        "groups": "Of the {n} groups of documents, {a} needs fewer bits in {better}.",
        "cost_head": (
            "rung",
            "parameters",
            "seconds",
            "FLOP",
            "text read",
            "tokens/s",
            "peak memory",
        ),
        "alt": {
            "surprisal": "The first line cut into the tokens of five rungs, each the stronger in colour the more bits it costs",
            "saved": "Bits saved against v1 along the passage",
            "groups": "Differences between v5 and v4, one group of documents after the other",
        },
        "surprisal": "bits of each token: the stronger the colour, the greater the surprise",
        "saved_y": "bits saved against v1, so far",
        "saved_x": "byte of the passage",
        "groups_y": "bits per byte, {a} − {b}",
        "groups_x": "groups of documents, in the order of their difference",
        "groups_mean": "all documents {difference} {interval}",
    },
    "pt": {
        "from": "Feito em {date} a partir de uma subida de {budget} por degrau (preset {preset}); os treinos são "
        "{runs}.",
        "licence": "Porttinari-base, notícias da Folha de S.Paulo, CC BY 4.0; documento `{id}` da divisão de teste.",
        "size": "{characters} caracteres, {bytes} bytes.",
        "normaliser": [
            ("como chegou", "damaged"),
            ("perfil `reference`", "reference"),
        ],
        "unchanged": "O trecho em si estava em ordem: `reference` não muda nenhum byte dele. A terceira linha, no perfil "
        "`roadmap`, seria outro texto:",
        "changed": "O perfil muda também o trecho em si. A terceira linha, no perfil `roadmap`:",
        "pieces_head": ("degrau", "tokenizador", "a primeira linha", "tokens do trecho"),
        "kinds": {"characters": "caracteres", "bpe": "peças BPE"},
        "kinds_the": {"characters": "os caracteres", "bpe": "as peças BPE"},
        "figures_head": (
            "degrau",
            "tokens",
            "bits",
            "bits por token",
            "perplexidade",
            "**bits por byte**",
        ),
        "arithmetic": """Para {rung}, {pieces} e o fim do texto são **{tokens} tokens**, e ele cobra por todos juntos **{bits} bits**:

    bits por token   {bits} / {tokens} = {per_token}
    perplexidade     2 ^ {per_token} = {perplexity}
    bits por byte    {bits} / {bytes} = {per_byte}
""",
        "verdict": "A perplexidade de v4 é **{times} vezes** a de v1, e no entanto v4 precisa de **{less} % menos bits** para o "
        "mesmo texto. Seus tokens são mais longos ({v4_bytes} bytes cada um, contra {v1_bytes}): há mais a adivinhar em "
        "cada um, e eles são menos. Só os bytes são os mesmos para os dois.",
        "context_head": ("degrau", "linha por linha, cada uma do nada", "no seu lugar", "poupado"),
        "prompt": "Início dado: *{prompt}*",
        "sample": "**{name}** ({tokens} tokens, {bits} bits cada um):",
        "comparison_head": (
            "",
            "neste trecho",
            "em todos os documentos de teste",
            "intervalo de 95 %",
            "p",
            "veredito",
        ),
        "against": "{a} contra {b}",
        "verdicts": {"better": "melhor", "worse": "pior", "undecided": "indeciso"},
        "signs": "Entre {a} e {b}, o trecho diz o contrário dos documentos de teste juntos: um texto só não decide nada.",
        "same_signs": "Aqui o trecho e todos os documentos concordam no sinal; poderiam não concordar.",
        "groups": "Dos {n} grupos de documentos, {a} precisa de menos bits em {better}.",
        "cost_head": (
            "degrau",
            "parâmetros",
            "segundos",
            "FLOP",
            "texto lido",
            "tokens/s",
            "pico de memória",
        ),
        "alt": {
            "surprisal": "A primeira linha cortada nos tokens de cinco degraus, cada um de cor mais forte quanto mais bits custa",
            "saved": "Bits poupados em relação a v1 ao longo do trecho",
            "groups": "Diferenças entre v5 e v4, um grupo de documentos depois do outro",
        },
        "surprisal": "bits de cada token: quanto mais forte a cor, maior a surpresa",
        "saved_y": "bits poupados em relação a v1, até aqui",
        "saved_x": "byte do trecho",
        "groups_y": "bits por byte, {a} − {b}",
        "groups_x": "grupos de documentos, na ordem da diferença",
        "groups_mean": "todos os documentos {difference} {interval}",
    },
}
