// SPDX-License-Identifier: Apache-2.0
// Tables as RFC 4180 has them.

/** A cell that no spreadsheet takes for a formula, quoted where it must be. */
export function cell(value) {
  let text = String(value ?? '');
  if (typeof value !== 'number' && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) || text.startsWith(' ') || text.endsWith(' ') ? `"${text.replaceAll('"', '""')}"` : text;
}

export const csv = rows => rows.map(row => `${row.map(cell).join(',')}\r\n`).join('');

/** A row for each photo: its file, its classes from the most probable one, and why it has none. */
export function answersAsCsv(photos, topK) {
  const header = ['file', 'label', 'probability'];
  for (let i = 2; i <= topK; ++i) header.push(`label_${i}`, `probability_${i}`);
  header.push('error');
  const rows = photos.map(photo => {
    const cells = (photo.answer?.predictions ?? []).slice(0, topK).flatMap(({label, probability}) => [label, probability]);
    while (cells.length < 2 * topK) cells.push('');
    return [photo.name, ...cells, photo.error];
  });
  return csv([header, ...rows]);
}
