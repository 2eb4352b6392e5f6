# The stages of one rung's whole run, from raw text to conclusions. Sourced by v5.sh and v_final.sh,
# which set the parameters.
#
#   1 data         raw text → cleaned, deduplicated, split documents in DATA
#   2 rehearsal    at most 1,000 steps and a minute: does it run, does the loss fall, how fast
#   3 tokenizer    what the rung's tokenizer, trained by the rehearsal, does to the text
#   4 training     then the ruler, the samples and the report, in OUT
#   5 evaluation   bits per byte of the test documents, with a 95 % interval
#   6 samples      a prompt, continued
#   7 conclusions  the report in plain sentences
#
# A finished stage is recognised by its content and not repeated (the rehearsal is: it is short).

settings=()
if [ "$DRY_RUN" = 1 ]; then
  # Every stage with tiny sizes: nothing is learnt, every step is taken.
  PRESET=laptop
  BUDGET="20 steps"
  DOCUMENTS=400
  OUT=$OUT/dry-run
  DATA=$OUT/data
  settings=(
    --set tokenizer.vocab_size=320
    --set model.context_tokens=32 --set model.d_model=32 --set model.n_heads=2
    --set model.d_ff=64 --set model.n_layers=1
    --set train.window_tokens=32
    --set train.batch_sequences=4 --set train.micro_batch_sequences=4
  )
fi

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ -z "${ESCADA:-}" ]; then
  ESCADA=escada
  [ -x "$here/../.venv/bin/escada" ] && ESCADA=$here/../.venv/bin/escada
fi

stage() { printf '\n== %s: %s\n' "$RUNG" "$1" >&2; }

training=(--preset "$PRESET" --data "$DATA" --seed "$SEED" "${settings[@]}")
[ -n "$BUDGET" ] && training+=(--budget "$BUDGET")

stage "1 data: $SOURCE into $DATA"
"$ESCADA" data prepare --source "$SOURCE" ${DOCUMENTS:+--documents "$DOCUMENTS"} --out "$DATA"

stage "2 rehearsal: at most 1,000 steps"
rm -rf -- "$OUT/rehearsal"
rehearsal=$("$ESCADA" train "$RUNG" "${training[@]}" --dry-run --out "$OUT/rehearsal" | tail -n 1)

stage "3 tokenizer: what it does to the training text"
"$ESCADA" tokenizer stats --tokenizer "$rehearsal" --data "$DATA"

stage "4 training, ruler, samples and report in $OUT"
"$ESCADA" climb "$RUNG" "${training[@]}" --out "$OUT"
run=$OUT/$(sed -n 's/^ *"run": "\(.*\)",$/\1/p' "$OUT/ladder.json" | head -n 1)

stage "5 evaluation of $run"
"$ESCADA" evaluate "$run" --data "$DATA"

stage "6 samples"
"$ESCADA" sample "$run" --prompt "$PROMPT" --n 3 --max-tokens 120 --seed 42

stage "7 conclusions"
"$ESCADA" report "$OUT" | tee "$OUT/conclusions.txt"
