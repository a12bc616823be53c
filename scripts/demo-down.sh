#!/usr/bin/env bash
# Removes the containers, network and images of `make demo`, and prints what it keeps.
source "$(dirname "$0")/lib.sh"
cd "$repo"

command -v docker >/dev/null || fail "there is no docker command here, so there is no demo to remove"
docker version >/dev/null 2>&1 || scripts/docker-engine.sh

say "Removing the containers and the network of the demo"
quietly demo-down docker compose --project-name zbx-nvidia-demo down --volumes --remove-orphans --timeout 5

say "Removing the images zbx-nvidia/*"
docker image ls --format '{{.Repository}}:{{.Tag}}' --filter 'reference=zbx-nvidia/*' | while read -r image; do
    # An image that other containers use, such as those of running tests, is kept.
    docker image rm "$image" >>"$logs/demo-down.log" 2>&1 || say "Image $image is in use: kept"
done
quietly demo-down-prune docker image prune --force --filter label=project=zbx-nvidia

say "Kept: the Docker engine, the debian:*-slim images, and the build cache (docker builder prune removes it)"
