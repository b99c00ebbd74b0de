// SPDX-License-Identifier: Apache-2.0
// Why the model says so: the colours on the photo, their legend, and what is asked for.
import {explainUrl} from './http_client.js';
import {retrying} from './client.js';
import {announce, byId, element, tell} from './dom.js';
import {gradient, hasEvidence, isCropped, Overlay} from './overlay.js';

const NORM = 'norm';  // the level picker's name of the last map

export class Why {
  #client;
  #overlay = new Overlay(byId('photo'));
  #changed;
  #asked = new AbortController();
  #answers = new Map();
  #photo = null;
  #card = null;
  #prediction = null;
  #query = null;  // [row, column]
  #explanation = null;

  /** `changed` is called when the question has changed. */
  constructor(client, changed) {
    this.#client = client;
    this.#changed = changed;
    byId('legend-colours').style.background = gradient();
    byId('opacity').addEventListener('input', () => this.#draw());
    byId('colours').addEventListener('change', () => this.#draw());
    byId('method').addEventListener('change', () => this.#choose(this.#fillLevels));
    byId('level').addEventListener('change', () => this.#choose(this.#fillBlocks));
    byId('block').addEventListener('change', () => this.#choose(this.#forgetQuery));
    byId('head').addEventListener('change', () => this.#choose(() => {}));
    byId('query-all').addEventListener('click', () => this.#choose(this.#forgetQuery));
    byId('query-cells').addEventListener('keydown', event => this.#moveInQuery(event));
  }

  /** Shows a photo without colours. */
  show(photo, picture, card) {
    this.#asked.abort();
    this.#answers.clear();
    this.#photo = photo;
    this.#card = card;
    this.#prediction = this.#query = this.#explanation = null;
    byId('why').hidden = true;
    this.#overlay.show(picture);
    byId('photo').hidden = !picture;
    byId('no-picture').hidden = Boolean(picture);
    this.#describe();
    this.#fillLevels();
  }

  /** Explains a class, or takes the colours away where there is none. */
  explain(prediction) {
    if (prediction && this.#prediction && this.#isAttention) {
      // Attention belongs to no class, and it is a class that was chosen.
      byId('method').value = 'grad-cam';
      this.#fillLevels();
    }
    this.#prediction = prediction;
    byId('why').hidden = !prediction;
    this.#asked.abort();
    if (prediction) return this.#ask();
    this.#explanation = null;
    this.#draw();
  }

  /** The question of an explanation, or nothing where none is shown; `format` is that of the answer. */
  question(format) {
    if (!this.#prediction || !this.#card) return null;
    const number = id => byId(id).value === '' ? undefined : Number(byId(id).value);
    const level = byId('level').value === NORM ? undefined : number('level');
    const shared = {model: this.#card.asked, method: byId('method').value, level, format};
    if (this.#isAttention) return {...shared, block: number('block'), head: number('head'), query: this.#query ?? undefined};
    return {...shared, class: nameOf(this.#prediction, this.#card)};
  }

  url() {
    const question = this.question('png');
    return question && explainUrl(question);
  }

  get #isAttention() {
    return byId('method').value === 'attention';
  }

  get #level() {
    return (this.#card?.levels ?? []).find(({level}) => level === Number(byId('level').value));
  }

  get #isGlobal() {
    return this.#isAttention && Boolean(this.#level?.global_blocks?.includes(Number(byId('block').value)));
  }

  #choose(follow) {
    follow.call(this);
    if (this.#prediction) this.#ask();
  }

  #fillLevels() {
    const levels = this.#card?.levels ?? [];
    const options = levels.map(({level, map}) => new Option(`${level}: ${map.join(' × ')} cells`, level));
    if (!this.#isAttention) options.unshift(new Option('after the last one', NORM));
    byId('level').replaceChildren(...options);
    if (this.#isAttention && levels.length >= 3) byId('level').value = levels[2].level;
    this.#fillBlocks();
  }

  #fillBlocks() {
    byId('block-label').hidden = byId('head-label').hidden = !this.#isAttention;
    this.#query = null;
    const level = this.#level;
    if (!this.#isAttention || !level) return this.#showQuery();
    const isGlobal = block => level.global_blocks?.includes(block);
    byId('block').replaceChildren(...Array.from({length: level.blocks}, (_, block) =>
        new Option(`${block}: ${isGlobal(block) ? 'global' : 'inside windows'}`, block)));
    const last = level.global_blocks?.at(-1);
    if (last !== undefined) byId('block').value = last;
    byId('head').replaceChildren(new Option('mean of all', ''),
        ...Array.from({length: level.heads}, (_, head) => new Option(head, head)));
    this.#showQuery();
  }

  #forgetQuery() {
    this.#query = null;
    this.#showQuery();
  }

  /** The board of the global query's cells, over what the model saw. */
  #showQuery() {
    byId('query').hidden = !this.#isGlobal;
    if (!this.#isGlobal) return;
    const [rows, columns] = this.#level.query ?? this.#level.window;
    const cells = byId('query-cells');
    cells.style.gridTemplateColumns = `repeat(${columns}, 1fr)`;
    cells.replaceChildren();
    for (let row = 0; row < rows; ++row) {
      for (let column = 0; column < columns; ++column) {
        const cell = element('button', {type: 'button', 'aria-label': `Row ${row + 1}, column ${column + 1}`, 'aria-pressed': 'false',
          tabIndex: row + column === 0 ? 0 : -1});
        cell.addEventListener('click', () => this.#choose(() => {
          this.#query = [row, column];
          this.#markQuery(cell);
        }));
        cells.append(cell);
      }
    }
    this.#markQuery(null);
  }

  #markQuery(chosen) {
    for (const cell of byId('query-cells').children) {
      cell.setAttribute('aria-pressed', String(cell === chosen));
      if (chosen) cell.tabIndex = cell === chosen ? 0 : -1;
    }
    byId('query-all').setAttribute('aria-pressed', String(!chosen));
  }

  #moveInQuery(event) {
    const cells = [...byId('query-cells').children];
    const at = cells.indexOf(document.activeElement);
    const columns = (this.#level?.query ?? this.#level?.window ?? [1, 1])[1];
    const step = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns}[event.key];
    if (at < 0 || step === undefined) return;
    event.preventDefault();
    const next = cells[at + step];
    if (!next) return;
    cells[at].tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }

  /** The newest question wins; one that was asked before is answered at once. */
  async #ask() {
    this.#asked.abort();
    const asked = this.#asked = new AbortController();
    const {signal} = asked;
    const question = this.question();
    const key = String(explainUrl(question));
    this.#changed();
    tell(byId('why-error'), '');
    byId('why').setAttribute('aria-busy', 'true');
    try {
      const explanation = this.#answers.get(key) ??
          await retrying(() => this.#client.explain(this.#photo.blob, {...question, signal}), signal);
      if (signal.aborted) return;
      this.#answers.set(key, explanation);
      this.#explanation = explanation;
    } catch (error) {
      if (signal.aborted) return;
      this.#explanation = null;
      tell(byId('why-error'), error.message);
    }
    byId('why').removeAttribute('aria-busy');
    this.#draw();
    announce(byId('why-text').textContent);
  }

  #draw() {
    const explanation = this.#explanation;
    const shown = explanation && byId('colours').checked ? explanation : null;
    byId('opacity').disabled = !shown;
    this.#overlay.explain(shown);
    this.#overlay.draw(Number(byId('opacity').value) / 100);
    if (explanation && this.#isGlobal) this.#overlay.drawSeen(byId('query-photo'), explanation);
    byId('legend').hidden = !shown || !hasEvidence(shown);
    byId('why-text').textContent = explanation ? this.#sentence(explanation) : '';
    this.#describe();
  }

  #sentence(explanation) {
    const {map} = explanation;
    const sentences = [];
    if (!hasEvidence(explanation)) {
      sentences.push(this.#isAttention ? 'It looks at every place alike.' :
                                         `Nothing on this photo speaks for ${this.#prediction.label}.`);
    } else if (this.#isAttention) {
      const who = this.#query ? `the question from row ${this.#query[0] + 1}, column ${this.#query[1] + 1}` : 'this block';
      sentences.push(`The brighter a place, the more ${who} looks there. That belongs to no class.`);
    } else {
      sentences.push(`The brighter a place, the more it spoke for ${this.#prediction.label}.`);
    }
    sentences.push(`The map has ${map.height} × ${map.width} cells, so its edges are not edges that the model saw.`);
    if (isCropped(explanation)) sentences.push('What the model didn\'t see is dark.');
    return sentences.join(' ');
  }

  #describe() {
    const what = this.#explanation && byId('colours').checked ? `, under colours. ${byId('why-text').textContent}` : '';
    byId('photo').setAttribute('aria-label', `${this.#photo?.name ?? 'The photo'}${what}`);
  }
}

/** How a class is asked for: by its name where that is the name of no other one and no number. */
function nameOf({index, label}, {labels = []}) {
  const isName = labels.filter(other => other === label).length === 1 && !/^\d+$/.test(label);
  return isName ? label : index;
}
