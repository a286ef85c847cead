#!/bin/sh
# Scores `tfexposure correct` and the classical baselines on the same photos.
#
#     benchmarks/peerbench.sh PEERBENCH PHOTOS WORK [PER_SOURCE]
#
# PEERBENCH is the folder of peerbench.py and brackets.py, PHOTOS that of
# scenes/valid, kodak and brackets; PER_SOURCE limits the scenes, evenly
# spaced. Results end up in WORK/results and WORK/brackets.json.
# BASELINES="" leaves the baselines out.
set -eu
bench=$1 photos=$2 work=$3 limit=${4:+@$4}
python=${PYTHON:-python}
baselines=${BASELINES-identity gamma_auto inverse_blind blind_fill oracle_inverse oracle_fill}
ours="$python -m tfexposure.cli correct {in} {out} --quiet"

[ -d "$work/data" ] || $python "$bench/peerbench.py" prepare --work "$work" \
    --source "scenes=$photos/scenes/valid$limit" \
    --source "kodak=$photos/kodak"

score() {  # name, then how to run it
    name=$1
    shift
    $python "$bench/peerbench.py" run --work "$work" --name "$name" "$@"
    case $name in
    oracle_*) ;;  # Nobody can tell them the truth of a real photo.
    *) $python "$bench/brackets.py" --pairs "$photos/brackets" \
        --name "$name" --out "$work/brackets.json" "$@" ;;
    esac
}

for name in $baselines; do
    score "$name" --py "classical:$name"
done
score natural --cmd "$ours"
score natural-forced --cmd "$ours --force"
# These know that the light was doubled, as the oracles do.
told() {  # name, then flags of correct
    name=$1
    shift
    $python "$bench/peerbench.py" run --work "$work" --name "$name" \
        --sets tau0.5 --cmd "$ours $*"
}
told natural-told --stops=1
told tau_half --model=tau_half --force
told paper --model=paper --force
$python "$bench/peerbench.py" run --work "$work" --name paper_random \
    --sets tau-random tau-random-jpeg \
    --cmd "$ours --model=paper_random --force"
$python "$bench/peerbench.py" table --work "$work" --out "$work/results-table"
