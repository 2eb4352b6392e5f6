#!/usr/bin/env bash
# The roadmap's whole run of v_final, the GPT: from raw text to conclusions.
#
#   recipes/v_final.sh                                     the roadmap's sizes, the default corpus
#   PRESET=laptop BUDGET="1e13 flop" recipes/v_final.sh    something to look at on two cores
#   SOURCE=brwac DOCUMENTS=20000 PROFILE=roadmap …         the roadmap's text (extra: escada[hub])
#   JUDGE_URL=http://localhost:8000/v1 JUDGE_MODEL=NAME …  with a judge (docs/judge.md)
#   RUNG=v6 COMPARED="v4 v_final" …                        with the unigram tokenizer of 16k pieces
#   DRY_RUN=1 …                                            every stage with tiny sizes
#
# After an interruption, run the same line again: it goes on where it stopped.
set -euo pipefail

RUNG=${RUNG:-v_final}
COMPARED=${COMPARED:-v3 v4} # trained on the same text under the same budget, and set beside it
PRESET=${PRESET:-full}        # full (the roadmap's sizes) or laptop
BUDGET=${BUDGET:-}            # of each rung, such as "1e15 flop" or "2 h"; empty: for full that of
ROADMAP_BUDGET="1.07e17 flop" # the roadmap's 50,000 steps of v_final, else 1e13 flop
SOURCE=${SOURCE:-default}     # default, brwac, or a file or folder of documents
DOCUMENTS=${DOCUMENTS:-}      # read no more documents than this; empty: all
PROFILE=${PROFILE:-reference} # reference, or roadmap: lower case, digits to 0
MIN_CHARACTERS=${MIN_CHARACTERS:-$([ "$PROFILE" = roadmap ] && echo 200 || echo 0)}
DATA=${DATA:-data/$(basename "$SOURCE")-$PROFILE${DOCUMENTS:+-$DOCUMENTS}}
OUT=${OUT:-runs/$RUNG-$PROFILE} # the runs, ladder.json, report/ and what each stage says
SEED=${SEED:-0}
WINDOWS=${WINDOWS:-} # of the roadmap's protocol, at most; empty: as many as the roadmap had
PROMPTS=${PROMPTS:-$(dirname "${BASH_SOURCE[0]}")/long-prompts.txt} # one per line
JUDGE_URL=${JUDGE_URL:-} # an OpenAI-compatible address; its key: ESCADA_JUDGE_API_KEY
JUDGE_MODEL=${JUDGE_MODEL:-}
BESIDE=${BESIDE-$(dirname "${BASH_SOURCE[0]}")/origin.json} # figures of others; empty: none
DRY_RUN=${DRY_RUN:-0}

# shellcheck source=recipes/_stages.sh
source "$(dirname "${BASH_SOURCE[0]}")/_stages.sh"
