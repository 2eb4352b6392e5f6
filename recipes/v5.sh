#!/usr/bin/env bash
# The roadmap's whole run of v5, the small Transformer: from raw text to conclusions.
#
#   recipes/v5.sh                                   the roadmap's sizes on the default corpus
#   PRESET=laptop BUDGET="10 min" recipes/v5.sh     something to look at on two cores
#   SOURCE=brwac DOCUMENTS=20000 recipes/v5.sh      the roadmap's text (extra: escada[brwac])
#   DRY_RUN=1 recipes/v5.sh                         every stage with tiny sizes, in a minute or two
#
# After an interruption, run the same line again: what is done is recognised.
set -euo pipefail

RUNG=${RUNG:-v5}
PRESET=${PRESET:-full}        # full (the roadmap's sizes) or laptop
BUDGET=${BUDGET:-}            # such as "2 h", "50k steps", "800M tokens"; empty: the preset's own
SOURCE=${SOURCE:-default}     # default, brwac, or a file or folder of documents
DOCUMENTS=${DOCUMENTS:-}      # read no more documents than this; empty: all
DATA=${DATA:-data/$(basename "$SOURCE")${DOCUMENTS:+-$DOCUMENTS}}
OUT=${OUT:-runs/$RUNG}        # the run, ladder.json and report/ are made in here
SEED=${SEED:-0}
PROMPT=${PROMPT:-Era uma vez}
DRY_RUN=${DRY_RUN:-0}

# shellcheck source=recipes/_stages.sh
source "$(dirname "${BASH_SOURCE[0]}")/_stages.sh"
