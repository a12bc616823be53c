#!/usr/bin/env bash
# Provides a Docker engine with compose and buildx: the running one, or starts an installed one, or installs Debian's.
source "$(dirname "$0")/lib.sh"

dockerd_log=/var/log/dockerd.log

answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# Checked by version: `docker COMMAND` without its plugin prints docker's help, and exits with 0 or 1 by release.
has_plugins() {
    docker compose version --short 2>/dev/null | grep -q '^v\?[2-9]' && docker buildx version >/dev/null 2>&1
}

# bookworm's docker-compose is 1.29, which has no `docker compose`. trixie's packages can be installed on bookworm
# without others. The pin keeps all other packages of the machine on bookworm.
add_trixie() {
    local mirror
    mirror=$(debian_mirror bookworm)
    say "Adding Debian trixie to apt, with a low priority, so that only these packages come from it"
    as_root tee /etc/apt/sources.list.d/zbx-nvidia-trixie.sources >/dev/null <<-SOURCES
		Types: deb
		URIs: $mirror
		Suites: trixie
		Components: main
		Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
	SOURCES
    as_root tee /etc/apt/preferences.d/zbx-nvidia-trixie >/dev/null <<-PIN
		Package: *
		Pin: release n=trixie
		Pin-Priority: 100
	PIN
}

install_engine() {
    local codename
    # shellcheck source=/dev/null
    codename=$(. /etc/os-release && echo "${ID}-${VERSION_CODENAME:-}")
    say "Installing a Docker engine with compose and buildx from the packages of $codename"
    case $codename in
        debian-bookworm)
            add_trixie
            apt_install -t trixie docker.io docker-cli docker-compose docker-buildx
            ;;
        debian-*) apt_install docker.io docker-cli docker-compose docker-buildx ;;
        ubuntu-*) apt_install docker.io docker-compose-v2 docker-buildx ;;
        *) fail "no Docker engine here, and none to install on $codename: install Docker with compose v2 and buildx" ;;
    esac
    hash -r
}

start_engine() {
    if [[ -d /run/systemd/system ]]; then
        say "Starting docker.service"
        quietly dockerd as_root systemctl start docker
    else
        say "Starting dockerd without systemd, which is not here (log: $dockerd_log)"
        # 9 is the lock of this script, which the daemon would hold as long as it runs.
        as_root setsid --fork bash -c "exec dockerd >>$dockerd_log 2>&1 </dev/null" 9>&-
    fi
    for ((tenths = 0; tenths < 600; tenths++)); do
        answers && return
        [[ ! -S /var/run/docker.sock || -w /var/run/docker.sock ]] \
            || fail "Docker runs now, but this user may not use it: run sudo usermod -aG docker $USER, and log in again"
        sleep 0.1
    done
    as_root tail -n 20 "$dockerd_log" >&2 || true
    fail "dockerd did not answer within 60 s: see $dockerd_log, and 'docker info'"
}

exec 9>"$repo/build/.docker-engine.lock"
flock 9

if [[ -S /var/run/docker.sock && ! -w /var/run/docker.sock ]]; then
    fail "this user may not use the Docker engine: run sudo usermod -aG docker $USER, and log in again"
fi
# An existing engine is only started, never replaced.
if ! answers && ! command -v dockerd >/dev/null; then
    install_engine
fi
has_plugins || fail "$(command -v docker) has no compose v2 or no buildx: install them: docker-compose-plugin and \
docker-buildx-plugin of Docker's own packages, docker-compose and docker-buildx of Debian, docker-compose-v2 of Ubuntu"
answers || start_engine
version=$(docker version --format '{{.Server.Version}}')
# start_interval, for frequent health checks during the start only, needs 25.
[[ ${version%%.*} -ge 25 ]] || fail "the Docker engine is $version: update it to 25 or newer"
say "Docker engine $version, compose $(docker compose version --short)"
