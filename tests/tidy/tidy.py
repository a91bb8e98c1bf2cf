#!/usr/bin/env python3
"""House rules as a test: layers in includes, one public header and a README a room, no banned call, every file built."""
import pathlib
import re
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
faults = []


def fault(path, line, what):
    faults.append(f"{path.relative_to(TOP) if isinstance(path, pathlib.Path) else path}:{line}: {what}")


def rooms():
    """name -> (layer, linked rooms, freestanding), from CMakeLists.txt."""
    text = (TOP / "CMakeLists.txt").read_text()
    found = {}
    for match in re.finditer(r"^room\((\S+) (\d+)([^)]*)\)", text, re.M):
        rest = match.group(3)
        link = re.search(r"LINK ([^)]*?)(?: LIBS|$)", rest, re.S)
        found[match.group(1)] = (int(match.group(2)), set(link.group(1).split()) if link else set(),
                                 "FREESTANDING" in rest)
    return found


def room_of(path, known):
    parts = path.relative_to(TOP / "src").parts
    two = "/".join(parts[:2])
    return two if two in known else parts[0]


FREESTANDING_HEADERS = {"stdbool.h", "stddef.h", "stdint.h", "stdarg.h", "limits.h", "float.h"}
BANNED = {
    r"\bstrcpy\s*\(": "strcpy", r"\bstrcat\s*\(": "strcat", r"\bsprintf\s*\(": "sprintf", r"\bgets\s*\(": "gets",
    r"\bstrtok\s*\(": "strtok", r"\batoi\s*\(": "atoi", r"\batof\s*\(": "atof", r"\brand\s*\(": "rand",
    r"\blocaltime\s*\(": "localtime", r"\bgmtime\s*\(": "gmtime", r"\bsystem\s*\(": "system", r"\balloca\s*\(": "alloca",
}


def check_source(path, known):
    room = room_of(path, known)
    text = path.read_text()
    lines = text.split("\n")
    table = False
    layer, linked, freestanding = known.get(room, (9, set(known), False))
    reachable = {room} | linked
    for number, line in enumerate(lines, 1):
        include = re.match(r'\s*#include\s+"([^"]+)"', line)
        if include:
            target = include.group(1)
            other = room_of(TOP / "src" / target, known)
            if other not in reachable:
                fault(path, number, f'room {room} includes "{target}" but does not link {other}')
            if other != room and target.endswith("_int.h"):
                fault(path, number, f"{target} stays inside {other}")
        system = re.match(r"\s*#include\s+<([^>]+)>", line)
        if system and freestanding and system.group(1) not in FREESTANDING_HEADERS:
            fault(path, number, f"freestanding room {room} includes <{system.group(1)}>")
        for pattern, name in BANNED.items():
            if re.search(pattern, line):
                fault(path, number, f"banned call {name}")
        if re.search(r"\b(TODO|FIXME|XXX)\b", line):
            fault(path, number, "unfinished work belongs in an issue")
        table = "clang-format off" in line or (table and "clang-format on" not in line)
        if len(line) > 120 and not table:  # a table reads best with one row a line
            fault(path, number, f"line of {len(line)} characters")
        if "\t" in line:
            fault(path, number, "tab")


def check_rooms(known):
    for room in known:
        folder = TOP / "src" / room
        if not any(folder.glob("**/*.c")):
            continue
        if not (folder / "README.md").exists():
            fault(folder, 0, "room without README.md")
    for path in sorted((TOP / "src").glob("*")):
        if path.is_dir() and path.name not in ("net", "app") and path.name not in known:
            fault(path, 0, "folder that is no room")


def check_migrations():
    numbers = sorted(int(p.name[:4]) for p in (TOP / "src").glob("*/migrations/*.sql"))
    if numbers != list(range(1, len(numbers) + 1)):
        fault("src/*/migrations", 0, f"numbers are not 1..n: {numbers}")


def check_tree():
    tracked = subprocess.run(["git", "ls-files"], cwd=TOP, capture_output=True, text=True)
    names = tracked.stdout.split("\n") if tracked.returncode == 0 else []
    for name in names:
        path = TOP / name
        if not name or not path.is_file() or path.stat().st_size > 1 << 20:
            continue
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        if name != "tests/tidy/tidy.py" and re.search(r"(^|[^\w./-])/(work|root|home)/", text):
            fault(name, 0, "names a machine's path")
        if name.endswith("package-lock.json") and '"resolved": "http' in text:
            fault(name, 0, "lock file with download addresses")


def main():
    known = rooms()
    for path in sorted((TOP / "src").rglob("*.[ch]")):
        check_source(path, known)
    check_rooms(known)
    check_migrations()
    check_tree()
    for line in faults:
        print(line)
    print(f"tidy: {len(known)} rooms, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
