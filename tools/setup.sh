#!/bin/sh
# Makes .venv with what is named: `setup.sh run` for Nunatak itself, `setup.sh dev` also for its tests and tools.
# Quiet when there is nothing to do. On Debian, as root, missing system packages are installed with apt.
set -eu
cd "$(dirname "$0")/.."
what=${1:-run}

install() {
    [ "$(id -u)" = 0 ] || { echo "please install: $*  (apt-get install $*)" >&2; exit 1; }
    echo "installing $* ..." >&2
    export DEBIAN_FRONTEND=noninteractive
    log=$(mktemp)
    { apt-get update -q && apt-get install -q -y --no-install-recommends "$@"; } >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
    rm -f "$log"
}

pip() {  # the machine's own, if it can install into .venv, because one for .venv takes ten seconds to make
    if "$python" -m pip --python .venv/bin/python --version >/dev/null 2>&1; then
        "$python" -m pip --python .venv/bin/python --disable-pip-version-check --no-input "$@"
    else
        .venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null
        .venv/bin/python -m pip --disable-pip-version-check --no-input "$@"
    fi
}

uv() {  # takes seconds where pip takes half a minute; from the index that pip is configured for
    [ -x .venv/bin/uv ] || pip install -q --no-compile -c constraints.txt uv || return 1
    index=${PIP_INDEX_URL:-$(pip config get global.index-url 2>/dev/null || true)}
    .venv/bin/uv pip install -q --compile-bytecode --python .venv/bin/python ${index:+--default-index "$index"} "$@"
}

python=
for candidate in ${PYTHON:-} python3.11 python3.12 python3.13 python3; do
    if "$candidate" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' 2>/dev/null; then python=$candidate; break; fi
done
[ -n "$python" ] || { echo "Nunatak needs Python 3.11 or newer" >&2; exit 1; }
"$python" -c 'import ensurepip, venv' 2>/dev/null || install python3-venv

if [ "$what" = dev ] && ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && ! command -v initdb >/dev/null 2>&1; then
    install postgresql  # the tests start servers of their own
fi
if [ "$what" = dev ]; then  # which look at the files of deploy/
    command -v systemd-analyze >/dev/null 2>&1 || install systemd
    command -v nginx >/dev/null 2>&1 || [ -x /usr/sbin/nginx ] || install nginx-light
    command -v caddy >/dev/null 2>&1 || install caddy
fi

stamp=.venv/.$what-$(cat pyproject.toml constraints.txt tools/setup.sh | sha256sum | cut -c1-16)
[ -e "$stamp" ] && exit 0
echo "setting up .venv ($what) ..." >&2
[ -x .venv/bin/python ] || "$python" -m venv --without-pip .venv
extra=; [ "$what" = dev ] && extra='[dev]'
set -- -c constraints.txt -e ".$extra"
log=$(mktemp)
{ uv "$@" || pip install -q "$@"; } >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
rm -f "$log" .venv/."$what"-*
touch "$stamp"
