# Sourced by the other scripts: finds a Python and keeps .venv beside the checkout up to date.

find_python() {
    local name
    for name in python3.13 python3.12 python3.11 python3; do
        # What a version manager's shim says of a Python that it does not have would only be noise.
        if command -v "$name" >/dev/null && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    echo "Maestro needs Python 3.11 or later; none was found." >&2
    return 1
}

# ensure_venv EXTRAS: installs the package (editable) with these extras ("" for none), when setup.py has changed. The test
# environment is what requirements.lock says, each file checked against its hash; others take what setup.py allows.
ensure_venv() {
    local extras=$1 python wanted stamp=.venv/installed
    # Without compiled code each start of Maestro would take a third longer, and the tests start hundreds.
    unset PYTHONDONTWRITEBYTECODE
    wanted="$(cat setup.py requirements.lock | cksum) $PWD [$extras]"
    if [ -x .venv/bin/python ] && [ -f "$stamp" ]; then
        case "$(cat "$stamp")" in
            "$wanted") return ;;
            "${wanted% *} [test]") return ;; # it has all that the others have
        esac
    fi
    python=$(find_python)
    printf '\n== installing into .venv\n' >&2
    [ -x .venv/bin/python ] || "$python" -m venv .venv || {
        echo "Cannot make a virtual environment with $python (Debian: apt-get install python3-venv)." >&2
        return 1
    }
    local pip=(.venv/bin/python -m pip install --quiet --disable-pip-version-check)
    if [ "$extras" = test ]; then
        "${pip[@]}" --require-hashes --requirement requirements.lock >&2
        "${pip[@]}" --no-deps --no-build-isolation --editable . >&2
    else
        "${pip[@]}" --editable ".${extras:+[$extras]}" >&2
    fi
    echo "$wanted" >"$stamp"
}
