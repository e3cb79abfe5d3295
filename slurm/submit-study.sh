#!/usr/bin/env bash
# Submit a study to Slurm: build and finalize its datasets, pretrain, train the cells, judge; each after the one before.
#
#   slurm/submit-study.sh STUDY.yaml --output DIR [--site FILE] [--dry-run] [--status]
#
# Run it again after a failure: it submits only what is neither done nor queued. --dry-run: print the sbatch commands.
# --status: what is done, and what is queued. What is particular to a site stands in slurm/site.env, or --site FILE.
set -euo pipefail

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
study= output= site=$scripts/site.env dry=no status=no
usage() { sed -n '4p' "${BASH_SOURCE[0]}" | cut -c3- >&2; exit 2; }
while [ $# -gt 0 ]; do
  case $1 in
    --output) output=${2:?--output needs a folder}; shift ;;
    --site) site=${2:?--site needs a file}; shift ;;
    --dry-run) dry=yes ;;
    --status) status=yes ;;
    -*) echo "unknown option $1" >&2; usage ;;
    *) [ -z "$study" ] || usage; study=$1 ;;
  esac
  shift
done
[ -n "$study" ] && [ -n "$output" ] || usage
[ -r "$site" ] || { echo "$site: there is no such site file" >&2; exit 2; }
site=$(realpath "$site")
source "$site"
prepare
output=$(realpath -m "$output") data=$(realpath -m "$data")
[ ! -f "$study" ] || study=$(realpath "$study")
sweep=("${run_in[@]}" cxr-train sweep "$study" --output "$output" --data "$data")
parts=$("${sweep[@]}" --list) # ends here, with its reason, where the study file is wrong
datasets=$("${sweep[@]}" --list-datasets)
sweep=(cxr-train sweep "$study" --output "$output" --data "$data")
[ -z "$stage_to" ] || sweep+=(--stage-to "$stage_to")

count() { { find "$output/$1" -mindepth 2 -maxdepth 2 -name "$2" 2>/dev/null || true; } | wc -l; }
runs=$(grep -c '/runs/[^/]*$' <<<"$parts" || true) runs_done=$(count runs backbone.json)
cells=$(grep -c '/cells/[^/]*$' <<<"$parts" || true) cells_done=$(count cells done.json)
mark=$(printf %s "$output" | cksum | cut -d' ' -f1) # jobs of this folder are known by their names
job_name() { echo "cxr-$mark-$1"; }
queued() { squeue --me --noheader --format=%F --name="$(job_name "$1")" | sort -u | head -1; }

if [ "$status" = yes ]; then
  echo "pretraining runs: $runs_done of $runs are done; cells: $cells_done of $cells are done"
  { find "$output/cells" -mindepth 2 -maxdepth 2 -name failed.json 2>/dev/null || true; } | sort |
    while read -r path; do echo "failed: cells/$(basename "$(dirname "$path")")"; done
  squeue --me --noheader --format="%j job %i %T %r" | sed -n "s/^cxr-$mark-//p"
  exit
fi

waits= # what the next job waits for: afterok:JOB[:JOB...][,afterany:JOB]

submit() { # submit STAGE TASKS FLAG... -- COMMAND...: sets `job`; submits nothing where it is in the queue already
  local stage=$1 tasks=$2 own=() log=%x-%j.out array=()
  shift 2
  while [ "$1" != -- ]; do own+=("$1"); shift; done
  shift
  local dependency=()
  # Without the second flag a job would wait for ever behind one that has failed.
  [ -z "$waits" ] || dependency=(--dependency="$waits" --kill-on-invalid-dep=yes)
  if [ "$tasks" -gt 0 ]; then log=%x-%A-%a.out array=(--array="0-$((tasks - 1))"); fi
  local command=(sbatch --parsable --job-name="$(job_name "$stage")" --output="$output/logs/$log" "${array[@]}"
    "${flags[@]}" "${own[@]}" "${dependency[@]}" "$scripts/stage.sbatch" "$site" "$tasks" "$@")
  if [ "$dry" = yes ]; then
    printf '%q ' "${command[@]}"
    echo
    job=$stage
    return
  fi
  job=$(queued "$stage")
  if [ -n "$job" ]; then
    echo "$stage: job $job is in the queue"
    return
  fi
  job=$("${command[@]}")
  job=${job%%;*} # "ID;CLUSTER" where there are several clusters
  echo "$stage: job $job"
}

build() { # build SOURCE [OPTION...]: called by the site's build_NAME, for the dataset `name` whose shards are `folder`
  local source=$1
  shift
  waits=
  submit "build-$name" "$build_tasks" "${cpu_flags[@]}" -- cxr-ingest build-shards "$source" "$folder" "$@"
  waits=afterok:$job
  submit "finalize-$name" 0 "${cpu_flags[@]}" -- cxr-ingest finalize "$folder" :then cxr-ingest verify "$folder"
  built+=("$job")
}

[ "$dry" = yes ] || mkdir -p "$output/logs" # sbatch does not: a job whose log cannot be opened fails without a word
built=()
while IFS=$'\t' read -r name folder; do
  # Asked before dataset.json is looked for: a build that ends in between is then found by the one or by the other.
  if [ "$dry" = no ] && job=$(queued "finalize-$name") && [ -n "$job" ]; then
    build_job=$(queued "build-$name")
    [ -z "$build_job" ] || echo "build-$name: job $build_job is in the queue"
    echo "finalize-$name: job $job is in the queue"
    built+=("$job")
    continue
  fi
  if [ -f "$folder/dataset.json" ]; then
    echo "$name: is built"
    continue
  fi
  declare -F "build_$name" >/dev/null || { echo "$folder is not built, and $site has no build_$name" >&2; exit 2; }
  "build_$name"
done <<<"$datasets"

waits=$(IFS=:; echo "${built[*]+afterok:${built[*]}}")
if [ "$runs_done" -lt "$runs" ]; then
  submit pretrain "$runs" "${gpu_flags[@]}" -- "${sweep[@]}" --only 'runs/*'
  waits=afterok:$job
fi
if [ "$cells_done" -lt "$cells" ]; then
  submit sweep "$sweep_tasks" "${gpu_flags[@]}" -- "${sweep[@]}" --only 'cells/*'
  waits=${waits:+$waits,}afterany:$job # a cell that fails is named in the report, and keeps no other from being judged
fi
submit study 0 "${gpu_flags[@]}" -- cxr-eval study "$output" --data "$data"
echo "logs: $output/logs; at the end: $output/report.html"
