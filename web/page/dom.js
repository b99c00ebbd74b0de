// SPDX-License-Identifier: Apache-2.0
// The little that all parts of the page need of the document. Data only ever becomes text, never HTML.

export const byId = id => document.getElementById(id);

/** An element with properties, and children, which are elements or text. Names with a dash are attributes. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes('-') || name === 'role') {
      made.setAttribute(name, value);
    } else {
      made[name] = value;
    }
  }
  made.append(...children);
  return made;
}

/** A sentence near where it belongs; empty text hides it. */
export function tell(place, sentence) {
  place.textContent = sentence;
  place.hidden = sentence === '';
}

/** Tells those who can't see the page what has changed on it. */
export function announce(sentence) {
  byId('status').textContent = sentence;
}

export function percent(probability) {
  if (probability > 0 && probability < 0.0005) return '< 0.1 %';
  return `${(100 * probability).toFixed(1)} %`;
}

/** "1 photo", "3 photos". */
export function count(number, word) {
  return `${number.toLocaleString('en')} ${word}${number === 1 ? '' : 's'}`;
}
