#!/usr/bin/env bash
# images.sh SERIES...: the images of docker/Dockerfile for each Zabbix series, from nothing or from what is there.
# Needs dist/ (scripts/wheel.sh) and a Docker engine (scripts/docker-engine.sh).
source "$(dirname "$0")/lib.sh"
cd "$repo"

declare -A suite=([6.0]=bookworm [7.0]=trixie)

for series; do
    [[ -v suite[$series] ]] || fail "no images for Zabbix '$series'; there are: ${!suite[*]}"
    scripts/base-images.sh "${suite[$series]}"
    scripts/docker-context.sh "$series"
    say "Building the images of Zabbix $series (the first time takes two minutes)"
    ZABBIX_SERIES=$series quietly "images-$series" docker compose --progress plain build
done
