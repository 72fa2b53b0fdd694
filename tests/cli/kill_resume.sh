#!/bin/bash
# Nothing is lost: a run killed with SIGKILL at random moments and resumed gives the same bytes as a run that
# was left alone. Fails as well if fewer kills than rounds met a run at work.
#
#   kill_resume.sh TOOL MODEL TRAINING_TEXT [ROUNDS=20] [SEED=1] [compress options ...]
set -u
tool=$1 model=$2 text=$3 rounds=${4:-20} seed=${5:-1}
shift $(( $# < 5 ? $# : 5 ))
options=(--train-tokens 12000 --calibration-data "$text" --skip-validation --target-bpw 2.0 "$@")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
RANDOM=$seed

# compress NAME --checkpoint-dir|--resume: into $work/NAME, checkpoints in $work/NAME.checkpoint. The (sub)shell becomes the
# program, so that $! is the program's number.
compress() {
  exec "$tool" --verbosity quiet littlebit compress "$model" "${options[@]}" -o "$work/$1" -n model.littlebit \
    "$2" "$work/$1.checkpoint" > "$work/$1.json" 2>> "$work/$1.log"
}

started=$(date +%s%N)
(compress reference --checkpoint-dir) || { echo "the uninterrupted run failed:"; cat "$work/reference.log"; exit 1; }
full_ms=$(( ($(date +%s%N) - started) / 1000000 ))
echo "uninterrupted: $full_ms ms, $(stat -c %s "$work/reference/model.littlebit") bytes"

differences=0 all_kills=0
for round in $(seq "$rounds"); do
  name=round$round kills=0 checkpoints=--checkpoint-dir
  while true; do
    compress "$name" $checkpoints &
    pid=$!
    delay=$(( (RANDOM * 32768 + RANDOM) % full_ms ))
    # After three kills the run may finish, so that every round ends.
    if [ $kills -lt 3 ]; then
      sleep "$(printf '%d.%03d' $((delay / 1000)) $((delay % 1000)))"
      kill -KILL $pid 2>/dev/null
    fi
    wait $pid 2>/dev/null
    status=$?
    [ $status -eq 0 ] && break
    if [ -z "$(ls -A "$work/$name.checkpoint" 2>/dev/null)" ]; then
      checkpoints=--checkpoint-dir  # killed before the first checkpoint
    else
      checkpoints=--resume
    fi
    if [ $status -ne 137 ]; then
      echo "round $round: exit $status"; tail -3 "$work/$name.log"; exit 1
    fi
    kills=$((kills + 1))
    [ -e "$work/$name/model.littlebit" ] && { echo "round $round: output exists after a kill"; break; }
  done
  if cmp -s "$work/reference/model.littlebit" "$work/$name/model.littlebit"; then
    echo "round $round: $kills kills, same bytes"
  else
    echo "round $round: $kills kills, DIFFERENT bytes"
    differences=$((differences + 1))
  fi
  all_kills=$((all_kills + kills))
  rm -rf "${work:?}/$name" "$work/$name.checkpoint"
done
echo "$rounds rounds, $all_kills kills, $differences different"
[ $differences -eq 0 ] && [ "$all_kills" -ge "$rounds" ]
