#!/usr/bin/env python3
"""Write the dashboards that Grafana reads: build.py, or build.py --check to compare only."""
import json
import pathlib
import sys

import dashboards

HERE = pathlib.Path(__file__).resolve().parent / 'dashboards'


def main():
    check = '--check' in sys.argv[1:]
    stale = []
    for name, make in dashboards.ALL.items():
        path = HERE / f'{name}.json'
        text = json.dumps(make(), indent=1, ensure_ascii=False) + '\n'
        if check and (not path.exists() or path.read_text() != text):
            stale.append(path.name)
        elif not check:
            path.write_text(text)
    if stale:
        print('not what build.py makes:', ', '.join(stale))
    return 1 if stale else 0


if __name__ == '__main__':
    sys.exit(main())
