#!/usr/bin/env bash
# Removes what `make demo` made: containers, network, images. Says what stays.
source "$(dirname "$0")/lib.sh"
cd "$repo"

command -v docker >/dev/null || fail "no docker command here, so no demo either"
docker version >/dev/null 2>&1 || scripts/docker-engine.sh

say "Removing the containers and the network of the demo"
quietly demo-down docker compose --project-name zbx-nvidia-demo down --volumes --remove-orphans --timeout 5

say "Removing the images zbx-nvidia/*"
docker image ls --format '{{.Repository}}:{{.Tag}}' --filter 'reference=zbx-nvidia/*' | while read -r image; do
    # An image that other containers use, such as those of running tests, cannot and shall not go.
    docker image rm "$image" >>"$logs/demo-down.log" 2>&1 || say "Image $image is in use and stays"
done
quietly demo-down-prune docker image prune --force --filter label=project=zbx-nvidia

say "What stays: the Docker engine, the debian:*-slim images, and its build cache (docker builder prune removes it)"
