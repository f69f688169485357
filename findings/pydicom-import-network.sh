#!/usr/bin/env bash
# pydicom 3.0.0 goes to the network when it is imported.
#
# Version: pydicom 3.0.0 (3.0.1 does not any more), any Python from 3.10 on.
# Expected: `import pydicom` of a library that reads local files opens no connection.
# Happens: it imports pydicom.examples, which asks for the paths of test files that the package does not ship, and so
#   looks up github.com to download them, into ~/.pydicom. Without a network each import gives warnings of failed
#   downloads; with one, a program that only reads a local slice has fetched files.
# Why it matters: hospital networks refuse or audit such connections; a program that turns warnings into errors (a test
#   suite) cannot import pydicom at all. Require pydicom>=3.0.1.
# Output seen, with no way to the network:
#   pydicom 3.0.0: import looks up github.com; 5 warnings of failed downloads
#   pydicom 3.0.1: import looks up nothing; 0 warnings of failed downloads
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
cat > "$folder/look.py" <<'PY'
import sys, warnings
hosts = set()
sys.addaudithook(lambda event, args: hosts.add(str(args[0])) if event == "socket.getaddrinfo" else None)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import pydicom
failed = sum("download failure" in str(one.message) for one in caught)
print(f"pydicom {pydicom.__version__}: import looks up {', '.join(sorted(hosts)) or 'nothing'}; "
      f"{failed} warnings of failed downloads")
sys.exit(not hosts)
PY
looks_up() {
  "$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check "pydicom==$1" requests==2.32.5
  env -u http_proxy -u https_proxy HOME="$folder" "$folder/venv/bin/python" "$folder/look.py"
}
looks_up 3.0.0 || { echo "changed: 3.0.0 opens no connection"; exit 1; }
if looks_up 3.0.1; then echo "changed: 3.0.1 opens connections"; exit 1; fi
