# Sourced by the commands here: makes the Python environment once and sets $python.
#
# environment=dev installs what tests and checks need too; the default is what runs the mesh.
# The environment lies in .venv beside this folder, or where CROUPIER_VENV says. It is made anew
# when the lock file changes. Only this step needs the network.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${CROUPIER_VENV:-$root/.venv}
if [ "${environment:-run}" = dev ]; then lock=$root/requirements-dev.lock; else lock=$root/requirements.lock; fi

environment_python() {
    local candidate
    for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "Croupier needs Python 3.11 or newer; set PYTHON to one." >&2
    return 1
}

environment_make() {
    # The dev lock contains all of the other, so an environment made from it serves for both.
    local have=
    [ -f "$venv/croupier.lock" ] && have=$(cat "$venv/croupier.lock")
    local want dev
    want=$(cksum <"$lock")
    dev=$(cksum <"$root/requirements-dev.lock")
    if [ "$have" = "$want" ] || [ "$have" = "$dev" ]; then return; fi
    local base
    base=$(environment_python) || return 1
    echo "Installing the locked packages into ${venv#"$root"/} (once) …" >&2
    "$base" -m venv "$venv" || return 1
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
        --requirement "$lock" >&2 || return 1
    echo "$want" >"$venv/croupier.lock"
}

environment_make || exit 1
python=$venv/bin/python
export PATH="$venv/bin:$PATH"
export PYTHONPATH="$root:$root/generated${PYTHONPATH:+:$PYTHONPATH}"
cd "$root" || exit 1
