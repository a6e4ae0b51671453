# SPDX-License-Identifier: GPL-2.0-only
"""Results as a table of text."""


def table(title, head, rows):
    print(f'\n{title}')
    rows = [head] + [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    for row in rows:
        print('  ' + '  '.join(cell.rjust(width) for cell, width in zip(row, widths)), flush=True)
