#!/bin/sh
# The private environment of a checkout, made from locks.
#
#   environment.sh run | dev   make .venv (if needed) and install requirements/<name>.lock and this package
#   environment.sh lock        resolve pyproject.toml anew into both locks (UPGRADE=1 takes newer versions)
#
# PYTHON=… names the interpreter (3.11 or newer), NO_UV=1 installs with venv and pip alone.
set -eu
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
uv_version=0.13.8
venv=.venv
interpreter=$venv/bin/python
export UV_PYTHON_DOWNLOADS=never    # the interpreter is the caller's own, never one fetched unasked
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_REQUIRE_VIRTUALENV=0 PIP_ROOT_USER_ACTION=ignore PIP_USER=0

say() { printf '%s\n' "$*" >&2; }
fail() { say "$@"; exit 1; }

check_python() {
    command -v "$python" >/dev/null 2>&1 ||
        fail "There is no '$python' here. Apportion needs Python 3.11 or newer: make PYTHON=/path/to/python3 …"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "Apportion needs Python 3.11 or newer; '$python' is $("$python" --version 2>&1)." \
             "Name another one: make PYTHON=/path/to/python3 …"
    python=$("$python" -c 'import sys; print(sys.executable)')
}

find_uv() {
    [ -z "${NO_UV:-}" ] || return 1
    for uv in uv .tools/bin/uv; do
        "$uv" --version >/dev/null 2>&1 && return
    done
    rm -rf .tools
    say "Fetching uv $uv_version into .tools (once) …"
    "$python" -m pip install -qq --target .tools "uv==$uv_version" && "$uv" --version >/dev/null 2>&1
}

# An environment is kept as long as it stands on the interpreter that was asked for.
venv_fits() {
    origin='import sys; print(sys.base_prefix, sys.version)'
    [ "$("$interpreter" -c "$origin" 2>/dev/null)" = "$("$python" -c "$origin")" ]
}

install_with_uv() {
    venv_fits || { rm -rf $venv && "$uv" venv --quiet --no-project --python "$python" $venv; } || return 1
    if [ "$1" = dev ]; then
        "$uv" pip sync --quiet --compile-bytecode --require-hashes --python $interpreter "requirements/$1.lock" || return 1
    else    # the run lock is part of the dev lock: add, so that a dev environment stays one
        "$uv" pip install --quiet --compile-bytecode --require-hashes --python $interpreter -r "requirements/$1.lock" || return 1
    fi
    "$uv" pip install --quiet --python $interpreter --no-deps --no-build-isolation --editable .
}

install_with_pip() {
    venv_fits && "$interpreter" -m pip --version >/dev/null 2>&1 || {
        rm -rf $venv
        "$python" -m venv $venv ||
            fail "Neither uv nor venv could make an environment." \
                 "Give '$python' pip or venv (on Debian: apt install python3-pip, or python3-venv)."
    }
    "$interpreter" -m pip install -qq --require-hashes -r "requirements/$1.lock"
    "$interpreter" -m pip install -qq --no-deps --no-build-isolation --editable .
}

install() {
    say "Preparing $venv from requirements/$1.lock …"
    if ! find_uv; then
        [ -n "${NO_UV:-}" ] || say "uv is not to be had; going on with venv and pip."
        install_with_pip "$1"
    elif ! install_with_uv "$1"; then
        say "uv could not install it; trying once more with venv and pip."
        install_with_pip "$1"
    fi
    "$interpreter" -m compileall -q src    # so that the first command is as quick as the second
    touch $venv/.run
    [ "$1" = run ] || touch $venv/.dev
}

resolve() {
    target=$1
    shift
    "$uv" pip compile pyproject.toml "$@" --group build --output-file "requirements/$target.lock" \
        --quiet ${UPGRADE:+--upgrade} --universal --python-version 3.11 --generate-hashes \
        --no-annotate --no-emit-index-url --custom-compile-command "make lock"
}

check_python
case ${1:-} in
    run | dev) install "$1" ;;
    lock)
        find_uv || fail "The locks are made with uv, and uv is not to be had here."
        resolve run --extra serve
        resolve dev --constraints requirements/run.lock --extra parquet --extra serve --group test --group lint --group docs
        ;;
    *) fail "usage: environment.sh run | dev | lock" ;;
esac
