# shellcheck shell=bash disable=SC2034
# Versions of birdwatchd beside each other, for systemd/install and systemd/upgrade. Not run by itself.
#
#     /opt/birdwatchd/versions/NAME     one version: its packages (venv), its unit and drop-ins (systemd), its docs
#     /opt/birdwatchd/venv              leads to the packages of the one that runs
#     /opt/birdwatchd/previous          leads to the version that ran before it
#     /var/lib/birdwatchd/upgrade       the database as each of the two left it, last time it was changed for the other

home=/opt/birdwatchd
copies=/var/lib/birdwatchd/upgrade
config=/etc/birdwatchd/config.yaml
units=/etc/systemd/system
root=${root-}
script=${script:-birdwatchd}

say() { printf '%s\n' "$*"; }
refuse() { printf '%s: %s\n' "$script" "$*" >&2; exit 2; }

# `return 0`, not `return`: while a trap is at work that would be the status of what was interrupted.
#
# lay SOURCE TARGET MODE: copies a file where it differs, and says so. In one step: nobody ever sees half of it.
lay() {
    local target=$root$2
    if cmp -s "$1" "$target"; then return 0; fi
    install -D -m "$3" "$1" "$target.new"
    mv -f "$target.new" "$target"
    say "  $target"
    laid=yes
}

# point LINK TARGET: lets a symbolic link lead somewhere else, in one step.
point() {
    ln -sfn -- "$2" "$1.new"
    mv -fT -- "$1.new" "$1"
}

# The name of what this clone would install: its version, and a digest of all that goes into it.
name_of_clone() {
    local version digest
    version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' birdwatchd/__init__.py)
    digest=$(find birdwatchd train systemd docs/systemd.md pyproject.toml constraints.txt -type f ! -path '*/__pycache__/*' -print0 |
        LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum)
    printf '%s-%s' "$version" "${digest:0:8}"
}

name_behind() { if [ -L "$1" ]; then basename "$(readlink "$1" | sed 's,/venv$,,')"; fi; }
running_name() { name_behind "$home/venv"; }
previous_name() { name_behind "$home/previous"; }

fits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' >/dev/null 2>&1; }

# The Python for all users that a version is built on.
find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} /usr/bin/python3 /usr/local/bin/python3 /usr/bin/python3.1{4,3,2,1}; do
        if fits "$candidate"; then
            "$candidate" -c 'import ensurepip, venv' 2>/dev/null ||
                refuse "$candidate cannot make virtual environments; run: apt-get install python3-venv"
            printf '%s' "$candidate"
            return 0
        fi
    done
    refuse "there is no Python 3.11 to 3.14 for all users; install one (Debian: python3), or name it with PYTHON=…"
}

# build_version NAME: from this clone, beside those that are there. What runs is not touched. One that was begun and not
# finished is made anew.
build_version() {
    local folder=$home/versions/$1 python index=() torch
    if [ -e "$folder/complete" ] && fits "$folder/venv/bin/python"; then return 0; fi
    python=$(find_python)
    rm -rf "$folder"
    mkdir -p "$folder" "$home/downloads"
    say "installing Python packages into $folder/venv (up to 2.6 GB; all that pip says: $home/install.log)"
    torch=$(grep '^torch==' constraints.txt)
    if [ ! -e /proc/driver/nvidia ]; then index=(--extra-index-url https://download.pytorch.org/whl/cpu); fi
    (
        export TMPDIR=$home/downloads PIP_DISABLE_PIP_VERSION_CHECK=1 # /tmp is small on some machines
        "$python" -m venv "$folder/venv" || exit
        pip=("$folder/venv/bin/python" -m pip install --constraint constraints.txt)
        "${pip[@]}" "${index[@]}" "$torch" && "${pip[@]}" ".[birdnet,notify,parquet,web]"
    ) >"$home/install.log" 2>&1 || {
        rm -rf "$folder"
        refuse "pip could not install the packages; see to network and disk and run this again (what it said: $home/install.log)"
    }
    rm -rf "$home/downloads"
    cp -R systemd "$folder/systemd"
    install -D -m 644 docs/systemd.md "$folder/docs/systemd.md"
    sync -f "$folder" # a power cut must not leave one that only looks complete
    touch "$folder/complete"
    laid=yes
}

# lay_unit FOLDER: the unit, and those of birdwatchd's own drop-ins that are there already, from a version's `systemd`.
lay_unit() {
    local drop_in
    lay "$1/birdwatchd.service" "$units/birdwatchd.service" 644
    for drop_in in cuda camera backoff; do
        if [ -e "$root$units/birdwatchd.service.d/$drop_in.conf" ] && [ -e "$1/$drop_in.conf" ]; then
            lay "$1/$drop_in.conf" "$units/birdwatchd.service.d/$drop_in.conf" 644
        fi
    done
}

# use_version NAME: from the next start on.
use_version() {
    local folder=$home/versions/$1
    point "$home/venv" "versions/$1/venv"
    lay "$folder/docs/systemd.md" $home/docs/systemd.md 644
    lay_unit "$folder/systemd"
    systemctl daemon-reload
}

# in_service NAME COMMAND…: runs a command of a version with what the service has: its user, folders, environment, secrets.
in_service() {
    local version=$1 credential secrets=()
    shift
    while read -r credential; do
        if [ -n "$credential" ]; then secrets+=(--property="LoadCredential=$credential"); fi
    done < <(systemctl show --property=LoadCredential --value birdwatchd 2>/dev/null)
    systemd-run --quiet --wait --pipe --collect --service-type=exec \
        --uid=birdwatchd --gid=birdwatchd --working-directory=/var/lib/birdwatchd \
        --setenv=HOME=/var/lib/birdwatchd --setenv=XDG_DATA_HOME=/var/lib --setenv=XDG_CACHE_HOME=/var/cache \
        --property=EnvironmentFile=-/etc/birdwatchd/environment "${secrets[@]}" \
        "$home/versions/$version/venv/bin/$1" "${@:2}"
}
