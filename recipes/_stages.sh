# The stages of one rung's whole run, from raw text to conclusions. Sourced by v5.sh and v_final.sh,
# which set the parameters.
#
#   1 data         raw text → documents cleaned as PROFILE says, deduplicated and split, in DATA
#   2 dry run      at most 1,000 steps and a minute: does it run, does the loss fall, how fast
#   3 tokenizer    what the rung's tokenizer, trained by the dry run, does to the text
#   4 training     the rung and those of COMPARED under one budget, with ruler, samples and controls
#   5 evaluation   of each: bits per byte of the test documents, and the roadmap's windows
#   6 comparison   differences with intervals and p-values
#   7 samples      of the long prompts
#   8 judge        a language model at JUDGE_URL; without one, the likelihood under the rung itself
#   9 conclusions  the page, its tables as Markdown, and the headline
#
# What is done is recognised by its content: after an interruption the same line goes on.

settings=(--set "text.profile=$PROFILE")
few=()
if [ "$DRY_RUN" = 1 ]; then
  # Every stage with tiny sizes: nothing is learnt, every step is taken.
  PRESET=laptop BUDGET="3e9 flop" DOCUMENTS=${DOCUMENTS:-400} WINDOWS=200
  OUT=$OUT/dry-run DATA=$OUT/data
  settings+=(--set model.n_layers=1 --set train.window_tokens=32)
  settings+=(--set train.batch_sequences=4 --set train.micro_batch_sequences=4)
  few=(--prompts 2)
fi
[ -n "$BUDGET" ] || case $PRESET in full) BUDGET=$ROADMAP_BUDGET ;; *) BUDGET="1e13 flop" ;; esac

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ -z "${ESCADA:-}" ]; then
  ESCADA=escada
  [ -x "$here/../.venv/bin/escada" ] && ESCADA=$here/../.venv/bin/escada
fi
training=(--preset "$PRESET" --budget "$BUDGET" --data "$DATA" --seed "$SEED" "${settings[@]}")
read -ra compared <<<"$COMPARED"

# What would be missed only after hours of training.
wrong() { printf 'recipe: %s\n' "$1" >&2 && exit 2; }
[ -r "$PROMPTS" ] || wrong "no prompts ($PROMPTS); give PROMPTS a text file"
[ -z "$BESIDE" ] || [ -r "$BESIDE" ] || wrong "no figures ($BESIDE); give BESIDE a file, or nothing"
[ -z "$JUDGE_URL" ] || [ -n "$JUDGE_MODEL" ] || wrong "JUDGE_URL without JUDGE_MODEL; name the model"

stage() { printf '\n== %s: %s\n' "$RUNG" "$1" >&2; }

stage "1 data: $SOURCE, profile $PROFILE, into $DATA"
"$ESCADA" data prepare --source "$SOURCE" ${DOCUMENTS:+--documents "$DOCUMENTS"} \
  --profile "$PROFILE" --min-characters "$MIN_CHARACTERS" --out "$DATA"
mkdir -p "$OUT"

stage "2 dry run: at most 1,000 steps"
rehearsed=$OUT/rehearsal/of-$(cat "$DATA/manifest.json" - <<<"${training[*]}" | cksum | tr ' ' -)
if [ ! -f "$rehearsed" ]; then
  rm -rf -- "$OUT/rehearsal"
  run=$("$ESCADA" train "$RUNG" "${training[@]}" --dry-run --out "$OUT/rehearsal" | tail -n 1)
  echo "$run" >"$rehearsed"
fi
rehearsal=$(cat "$rehearsed")

stage "3 tokenizer: what it does to the training text"
"$ESCADA" tokenizer stats --tokenizer "$rehearsal" --data "$DATA" | tee "$OUT/tokenizer.txt"

stage "4 training: $COMPARED $RUNG, $BUDGET each, in $OUT"
"$ESCADA" climb "${compared[@]}" "$RUNG" "${training[@]}" --out "$OUT"
mapfile -t runs < <(sed -n 's/^ \{6\}"run": "\(.*\)",$/\1/p' "$OUT/ladder.json")
runs=("${runs[@]/#/"$OUT/"}")
run=${runs[-1]}

stage "5 evaluation: the ruler and the roadmap's windows"
for one in "${runs[@]}"; do
  "$ESCADA" evaluate "$one" --data "$DATA"
  "$ESCADA" evaluate "$one" --data "$DATA" --protocol windows ${WINDOWS:+--max-windows "$WINDOWS"}
done | tee "$OUT/evaluation.txt"

stage "6 comparison: $RUNG with $COMPARED"
"$ESCADA" compare "$OUT" --data "$DATA" | tee "$OUT/comparison.txt"

stage "7 samples of $PROMPTS"
prompts=()
while IFS= read -r prompt; do
  [ -n "$prompt" ] && prompts+=(--prompt "$prompt")
done <"$PROMPTS"
"$ESCADA" sample "$run" "${prompts[@]}" --n 2 --max-tokens 200 --seed 42 | tee "$OUT/samples.txt"

judge=(--reference "$run")
[ -n "$JUDGE_URL" ] && judge=(--base-url "$JUDGE_URL" --model "$JUDGE_MODEL")
stage "8 judge: ${judge[*]}"
"$ESCADA" judge "${runs[@]}" "${judge[@]}" "${few[@]}" --data "$DATA" --out "$OUT/judge"

stage "9 conclusions"
"$ESCADA" report "$OUT" ${BESIDE:+--beside "$BESIDE"} | tee "$OUT/conclusions.txt"
"$ESCADA" report "$OUT" --markdown "$OUT/conclusions.md"
"$ESCADA" report "$OUT" --markdown "$OUT/conclusions.pt-BR.md" --lang pt

cat <<END

$RUNG is done. What each stage left behind:
1 data         $DATA
2 dry run      $rehearsal
3 tokenizer    $OUT/tokenizer.txt
4 training     $OUT/ladder.json, ${runs[*]}
5 evaluation   $OUT/evaluation.txt; evaluation/test.json and windows-test.json of each run
6 comparison   $OUT/comparison.txt
7 samples      $OUT/samples.txt
8 judge        $OUT/judge/verdict.json
9 conclusions  $OUT/report/index.html, $OUT/conclusions.md, $OUT/conclusions.pt-BR.md
END
