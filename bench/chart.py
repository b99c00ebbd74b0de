# SPDX-License-Identifier: Apache-2.0
"""A bar chart, as SVG, of what compare.py measured: images a second on two threads, ours first in each dtype."""

import html

BAR, GAP, LABEL, WIDTH, VALUE = 16, 4, 210, 420, 90
COLOURS = {"f32": "#4c78a8", "bf16": "#72b7b2", "int8": "#f58518"}


def panel(row, labels, top):
    """One row's bars; returns their SVG and their height."""
    results = row["results"]
    order = sorted(results, key=lambda name: (list(COLOURS).index(results[name]["dtype"]), not name.startswith("gcvit"),
                                              -results[name]["images_per_second"]))
    most = max(result["images_per_second"] for result in results.values())
    parts = [f'<text x="0" y="{top + 14}" font-weight="bold">{html.escape(row["model"])}, batch {row["batch"]}, '
             f'{row["threads"]} threads</text>']
    y = top + 24
    for name in order:
        speed = results[name]["images_per_second"]
        length = WIDTH * speed / most
        ours = name.startswith("gcvit")
        parts.append(f'<text x="{LABEL - 8}" y="{y + BAR - 4}" text-anchor="end"{" font-weight=" + chr(34) + "bold" + chr(34) if ours else ""}>'
                     f'{html.escape(labels[name])}</text>'
                     f'<rect x="{LABEL}" y="{y}" width="{length:.1f}" height="{BAR}" fill="{COLOURS[results[name]["dtype"]]}" '
                     f'fill-opacity="{1 if ours else 0.45}"/>'
                     f'<text x="{LABEL + length + 6:.1f}" y="{y + BAR - 4}">{speed:.1f} img/s</text>')
        y += BAR + GAP
    return "\n".join(parts), y - top + 12


def draw(machine, rows, labels):
    y, parts = 44, []
    for row in rows:
        if row["threads"] == 2:
            text, height = panel(row, labels, y)
            parts.append(text)
            y += height
    versions = ", ".join(f"{package} {number}" for package, number in machine["versions"].items())
    width = LABEL + WIDTH + VALUE
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y}" font-family="sans-serif" font-size="12" '
            f'role="img">\n<title>Images a second of gcvit and others</title>\n<rect width="{width}" height="{y}" fill="#fff"/>\n'
            f'<text x="0" y="14" font-size="14" font-weight="bold">Images a second, one run, contenders in turns</text>\n'
            f'<text x="0" y="32" fill="#555">{html.escape(machine["cpu"])}; {html.escape(versions)}</text>\n'
            + "\n".join(parts) + "\n</svg>\n")
