# SPDX-License-Identifier: Apache-2.0
"""exported_symbols.py LIBGCVIT HEADER MAP: the library shows the functions of the header alone, each under the version that the
linker's map gives it; its SONAME is libgcvit.so.MAJOR."""

import pathlib
import re
import subprocess
import sys

library, header, version_map = sys.argv[1:]


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


code = re.sub(r"//.*", "", pathlib.Path(header).read_text())
declared = set(re.findall(r"\b(gcvit_\w+)\(", code))
listed = {}
for version, body in re.findall(r"^(GCVIT_[\d.]+) \{(.*?)^\}", pathlib.Path(version_map).read_text(), re.MULTILINE | re.DOTALL):
    listed |= {name: version for name in re.findall(r"\b(gcvit_\w+);", body)}

shown, complaints = {}, []
for line in run("nm", "--dynamic", "--defined-only", "--with-symbol-versions", library).splitlines():
    kind, symbol = line.split()[-2:]
    if kind == "A" and symbol.split("@")[0] in listed.values():  # a version itself
        continue
    name, _, version = symbol.partition("@@")
    shown[name] = version
    if kind != "T":
        complaints.append(f"{symbol}: expected a function, found nm's \"{kind}\"")
for name in sorted(declared | listed.keys() | shown.keys()):
    if name not in declared:
        complaints.append(f"{name}: not in {header}")
    if name not in listed:
        complaints.append(f"{name}: not in {version_map}")
    if name not in shown:
        complaints.append(f"{name}: not shown by {library}")
    elif shown[name] != listed.get(name):
        complaints.append(f"{name}: expected version {listed.get(name)}, found \"{shown[name]}\"")
soname = re.search(r"\(SONAME\).*\[(.*)\]", run("readelf", "--dynamic", "--wide", library))
if not soname or not re.fullmatch(r"libgcvit\.so\.\d+", soname[1]):
    complaints.append(f"expected the SONAME libgcvit.so.MAJOR, found {soname and soname[1]}")

for complaint in complaints:
    print(complaint, file=sys.stderr)
print(f"{len(shown)} symbols, {len(complaints)} complaints")
sys.exit(1 if complaints or not shown else 0)
