#!/usr/bin/env bash
# Submit the study as a chain of jobs, each after the one before has succeeded. Flags go to every sbatch:
#
#   STUDY=/scratch/study SOURCE=/archives/CheXpert-v1.0 slurm/submit-all.sh --partition=gpu --account=lab
#
# The scripts' own parameters (see the top of each) are environment variables too, and go to all jobs. Then an
# unseen target, without pretraining again:
#
#   STUDY=/scratch/study SOURCE=/archives/ChinaSet_AllFiles DATASET=shenzhen LABELS=Tuberculosis FRACTIONS="0.0625 0.25 1.0" \
#     STAGES="build finalize downstream statistics" slurm/submit-all.sh --partition=gpu --account=lab
set -euo pipefail

: "${STUDY:?folder of the study, seen by all nodes}"
export STUDY
STAGES=${STAGES:-build finalize pretrain downstream statistics}
BUILD_TASKS=${BUILD_TASKS:-16}
DOWNSTREAM_TASKS=${DOWNSTREAM_TASKS:-20}
scripts=$(dirname "${BASH_SOURCE[0]}")

mkdir -p "$STUDY/logs" # sbatch does not: a job whose log cannot be opened fails without a word
dependency=()
for stage in $STAGES; do
  flags=(--output="$STUDY/logs/%x-%j.out")
  case $stage in
    build) script=build-array flags=(--output="$STUDY/logs/%x-%A-%a.out" --array="0-$((BUILD_TASKS - 1))") ;;
    downstream) script=downstream-array flags=(--output="$STUDY/logs/%x-%A-%a.out" --array="0-$((DOWNSTREAM_TASKS - 1))") ;;
    finalize | pretrain | statistics) script=$stage ;;
    *) echo "unknown stage '$stage': build, finalize, pretrain, downstream or statistics" >&2; exit 2 ;;
  esac
  job=$(sbatch --parsable "${dependency[@]}" "${flags[@]}" "$@" "$scripts/$script.sbatch")
  job=${job%%;*} # "ID;CLUSTER" where there are several clusters
  echo "$stage: job $job"
  # Without the second flag, jobs behind a failed one would wait for ever.
  dependency=(--dependency="afterok:$job" --kill-on-invalid-dep=yes)
done
echo "logs: $STUDY/logs; at the end: $STUDY/report.html"
