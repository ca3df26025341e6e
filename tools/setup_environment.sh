#!/usr/bin/env bash
# Makes the virtual environment that `make` uses: setup_environment.sh PYTHON VENV EXTRAS
set -euo pipefail
python=$1 venv=$2 extras=$3

"$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || {
    echo "ps3d needs Python 3.10 to 3.13, found $("$python" --version) at $python; name another: make PYTHON=/path/to/python3.11" >&2
    exit 2
}

# Open3D loads these three libraries at import; they come from the distribution, not from pip.
missing=()
has_library() { ldconfig -p 2>/dev/null | grep -q "$1" || /sbin/ldconfig -p 2>/dev/null | grep -q "$1"; }
has_library libEGL.so.1 || missing+=(libegl1)
has_library libGL.so.1 || missing+=(libgl1)
has_library libusb-1.0.so.0 || missing+=(libusb-1.0-0)
if [ "$(uname -s)" = Linux ] && [ ${#missing[@]} -gt 0 ]; then
    line="apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        bash -c "$line"
    elif command -v apt-get >/dev/null && sudo -n true 2>/dev/null; then
        sudo bash -c "$line"
    else
        echo "Open3D needs system libraries that are missing here. Install them, then run make again:" >&2
        echo "    sudo bash -c '$line'" >&2
        exit 2
    fi
fi

[ -x "$venv/bin/python" ] || "$python" -m venv "$venv" || {
    echo "python -m venv failed; on Debian and Ubuntu: sudo apt-get install -y python3-venv" >&2
    exit 2
}

# Without a GPU the smaller build of Open3D is enough (312 MB instead of 907 MB); both import as `open3d`.
open3d=open3d
if [ "$(uname -sm)" = "Linux x86_64" ] && ! command -v nvidia-smi >/dev/null; then open3d=open3d-cpu; fi

"$venv/bin/python" -m pip install --quiet --upgrade pip
"$venv/bin/python" -m pip install --quiet --constraint constraints.txt "torch" "$open3d" -e ".[$extras]"
