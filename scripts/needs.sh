# Sourced by the other scripts: the servers and tools that they start.

say() { printf '\n== %s\n' "$*" >&2; }

# need COMMAND WHY PACKAGE...: installs Debian's packages where root and apt-get allow, else says what is missing.
need() {
    local command=$1 why=$2
    shift 2
    command -v "$command" >/dev/null || [ -x "/usr/sbin/$command" ] && return
    compgen -G "/usr/lib/postgresql/*/bin/$command" >/dev/null && return
    say "$command is not installed; $why"
    if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
        apt-get update -qq
        # Some of these packages would start a server of their own; nothing here wants it.
        RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
    else
        echo "Missing: $command. Install it (Debian: sudo apt-get install $*) and run again." >&2
        exit 1
    fi
}
