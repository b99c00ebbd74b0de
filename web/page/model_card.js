// SPDX-License-Identifier: Apache-2.0
// What there is to know of a model.
import {byId, element} from './dom.js';

const FEW = 8;  // classes that a sentence can name

/** "It knows 5 classes: daisy, dandelion, roses, sunflowers and tulips." */
export function knownClasses({labels, classes}) {
  if (!labels?.length) return `It knows ${classes.toLocaleString('en')} classes, whose names its file doesn't have.`;
  if (labels.length <= FEW) return `This model knows ${listed(labels)}.`;
  const some = [0, 1, 2].map(i => labels[Math.floor((i + 0.5) * labels.length / 3)]);
  return `This model knows ${labels.length.toLocaleString('en')} classes, such as ${listed(some)}.`;
}

const listed = words => words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
const size = pair => pair.join(' × ');

function bytes(number) {
  return number < 1e6 ? `${(number / 1e3).toFixed(0)} kB` : `${(number / 1e6).toFixed(1)} MB`;
}

/** What of a card is shown as it is: words, and lists of words. */
const OTHERS = {description: 'Description', training: 'Training', licence: 'Licence', license: 'Licence'};

export function showCard(card) {
  const rows = [['Name', card.name]];
  const add = (term, value, text) => value !== undefined && value !== null && rows.push([term, text(value)]);
  add('Kind', card.family, family => card.variant && card.variant !== 'custom' ? `${family}, ${card.variant}` : family);
  for (const [name, term] of Object.entries(OTHERS)) {
    if (typeof card[name] === 'string' && card[name]) rows.push([term, card[name]]);
  }
  add('Classes', card.classes, classes => classes.toLocaleString('en'));
  add('Parameters', card.parameters, parameters => parameters.toLocaleString('en'));
  add('Weights', card.dtype, dtype => card.bytes ? `${dtype}, ${bytes(card.bytes)} of memory` : dtype);
  add('Input', card.image_size, image => `${size(image)} pixels`);
  add('Preprocessing', card.preprocessing, String);
  add('Calibration', card.temperature, temperature => `temperature ${temperature.toFixed(3)}`);
  byId('card').replaceChildren(...rows.flatMap(([term, text]) =>
      [element('dt', {textContent: term}), element('dd', {textContent: text})]));

  const labels = card.labels ?? [];
  byId('labels-title').hidden = byId('labels').hidden = labels.length === 0;
  byId('labels').textContent = labels.join(', ');

  const levels = card.levels ?? [];
  byId('levels').hidden = levels.length === 0;
  const head = ['Level', 'Cells', 'Window', 'Blocks', 'Heads'].map(text => element('th', {scope: 'col', textContent: text}));
  const body = levels.map(level => element('tr', {}, ...[level.level, size(level.map), size(level.window), level.blocks, level.heads]
      .map(text => element('td', {textContent: text}))));
  byId('levels').replaceChildren(element('table', {}, element('thead', {}, element('tr', {}, ...head)), element('tbody', {}, ...body)));
}
