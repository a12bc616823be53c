#!/usr/bin/env bash
# images.sh SERIES...: builds the images of docker/Dockerfile for each Zabbix series.
# Needs dist/ (scripts/wheel.sh) and a Docker engine (scripts/docker-engine.sh).
source "$(dirname "$0")/lib.sh"
cd "$repo"

declare -A suite=([6.0]=bookworm [7.0]=trixie)

# BuildKit's log as one line for each step of at least 3 s.
steps() {
    awk '/^#[0-9]+ \[.*\] / { line = $0; sub(/^#[0-9]+ /, "", line); sub(/--mount=[^ ]* /, "", line); gsub(/ +/, " ", line); step[$1] = line }
         /^#[0-9]+ DONE / && $3 + 0 >= 3 { printf "  %3d s  %s\n", $3, substr(step[$1], 1, 90); fflush() }'
}

for series; do
    [[ -v suite[$series] ]] || fail "no images for Zabbix '$series': choose one of ${!suite[*]}"
    scripts/base-images.sh "${suite[$series]}"
    scripts/docker-context.sh "$series"
    say "Building the images of Zabbix $series (the first time takes two minutes)"
    log=$logs/images-$series.log
    profiles=(--profile machine)
    [[ $series != 7.0 ]] || profiles+=(--profile slurm) # its tests need no Zabbix: one Slurm is enough
    if ! ZABBIX_SERIES=$series docker compose "${profiles[@]}" --progress plain build 2>&1 </dev/null | tee "$log" | steps; then
        tail -n 30 "$log" >&2
        fail "the images of Zabbix $series were not built: see $log"
    fi
    quietly images-prune docker image prune --force --filter label=project=zbx-nvidia
done
