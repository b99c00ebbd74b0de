// SPDX-License-Identifier: Apache-2.0
// Many photos: a grid of them that fills as answers come.
import {eachOf, retrying} from './client.js';
import {answersAsCsv} from './csv.js';
import {announce, byId, count, element, percent, tell} from './dom.js';
import {prepare, thumbnailOf} from './photos.js';

const AT_ONCE = 4;

/** From -1 to 1: how much two lists of features point the same way. */
export function likeness(a, b) {
  let product = 0, ofA = 0, ofB = 0;
  for (let i = 0; i < a.length; ++i) {
    product += a[i] * b[i];
    ofA += a[i] * a[i];
    ofB += b[i] * b[i];
  }
  return ofA > 0 && ofB > 0 ? product / Math.sqrt(ofA * ofB) : 0;
}

const top = photo => photo.answer?.predictions[0];

/** Photos without an answer stand last. */
const ORDERS = {
  order: (a, b) => a.id - b.id,
  class: (a, b) => Number(!top(a)) - Number(!top(b)) || (top(a)?.label ?? '').localeCompare(top(b)?.label ?? '') ||
      (top(b)?.probability ?? 0) - (top(a)?.probability ?? 0) || a.id - b.id,
  confidence: (a, b) => (top(a)?.probability ?? 2) - (top(b)?.probability ?? 2) || a.id - b.id,
  likeness: (a, b) => (b.likeness ?? -2) - (a.likeness ?? -2) || a.id - b.id,
};

export class Gallery {
  #client;
  #topK;
  #open;
  #photos = [];
  #cards = new Map();
  #model;
  #work = new AbortController();

  /** `open` shows one photo. */
  constructor(client, topK, open) {
    this.#client = client;
    this.#topK = topK;
    this.#open = open;
    byId('sort').addEventListener('change', () => this.#sort());
    byId('many-again').addEventListener('click', () => this.show(this.#photos, this.#model));
    byId('csv').addEventListener('click', () => this.#download());
  }

  /** Takes the place of what it showed before, and asks about those that have no answer. */
  async show(photos, model) {
    this.stop();
    const {signal} = this.#work = new AbortController();
    for (const photo of this.#photos) {
      if (photo.thumbnail && !photos.includes(photo)) URL.revokeObjectURL(photo.thumbnail);
    }
    this.#photos = photos;
    this.#model = model;
    this.#cards.clear();
    tell(byId('many-error'), '');
    byId('sort').value = 'order';
    byId('sort').querySelector('[value=likeness]').hidden = true;
    byId('many-again').hidden = true;
    for (const photo of photos) {
      photo.likeness = photo.features = undefined;
      if (photo.blob) photo.error = '';
      this.#cards.set(photo, this.#cardOf(photo));
      if (photo.answer) this.#fill(photo);
    }
    this.#sort();
    this.#count();
    await eachOf(photos.filter(photo => !photo.answer), AT_ONCE, photo => this.#classify(photo, signal), signal);
    if (signal.aborted) return;
    byId('many-again').hidden = !photos.some(photo => photo.blob && photo.error);
    this.#sort();
    announce(byId('tally').textContent);
  }

  stop() {
    this.#work.abort();
  }

  #cardOf(photo) {
    const picture = element('img', {alt: '', hidden: true});
    const label = element('strong', {textContent: '…'});
    const figure = element('span', {className: 'number'});
    const problem = element('span', {className: 'problem'});
    const opening = element('button', {type: 'button', className: 'open'}, element('span', {className: 'frame'}, picture),
        element('span', {className: 'line'}, label, figure), element('span', {className: 'name', textContent: photo.name}), problem);
    opening.addEventListener('click', () => this.#open(photo));
    const like = element('button', {type: 'button', className: 'link like', textContent: 'Like this one', hidden: true,
      'aria-label': `Sort by likeness to ${photo.name}`});
    like.addEventListener('click', () => this.#sortByLikeness(photo));
    const card = element('li', {}, opening, like);
    card.parts = {picture, label, figure, problem, like, opening};
    return card;
  }

  async #classify(photo, signal) {
    await prepare(photo);
    if (photo.blob && photo.thumbnail === undefined) {
      try {
        photo.thumbnail = await thumbnailOf(photo);
      } catch {
        photo.thumbnail = '';
      }
    }
    if (photo.blob) {
      try {
        photo.answer = await retrying(() => this.#client.classify(photo.blob, {topK: this.#topK, model: this.#model, signal}), signal);
        photo.error = '';
      } catch (error) {
        if (signal.aborted) return;
        photo.error = error.message;
        if (error.status === 401) return this.#giveUp(error);
      }
    }
    if (signal.aborted) return;
    this.#fill(photo);
    this.#count();
  }

  /** Without a key there is no use in asking about the others. */
  #giveUp(error) {
    this.stop();
    byId('progress').hidden = true;
    byId('many-again').hidden = false;
    tell(byId('many-error'), error.message);
  }

  #fill(photo) {
    const {picture, label, figure, problem, like, opening} = this.#cards.get(photo).parts;
    if (photo.thumbnail) {
      picture.src = photo.thumbnail;
      picture.hidden = false;
    }
    const first = top(photo);
    label.textContent = first?.label ?? 'no answer';
    figure.textContent = first ? percent(first.probability) : '';
    problem.textContent = photo.error;
    opening.disabled = !first;
    like.hidden = !first;
  }

  #count() {
    const done = this.#photos.filter(photo => photo.answer || photo.error).length;
    this.#showProgress(done, this.#photos.length);
    const classes = new Map();
    let broken = 0;
    for (const photo of this.#photos) {
      if (top(photo)) classes.set(top(photo).label, (classes.get(top(photo).label) ?? 0) + 1);
      if (photo.error) ++broken;
    }
    byId('many-title').textContent = count(this.#photos.length, 'photo');
    const words = [...classes].sort((a, b) => b[1] - a[1]).slice(0, 8).map(([label, number]) => `${label} ${number}`);
    if (classes.size > 8) words.push(`${count(classes.size - 8, 'other class').replace('classs', 'classes')}`);
    if (broken) words.push(`without an answer ${broken}`);
    const progress = done < this.#photos.length ? `${done} of ${this.#photos.length} answered. ` : '';
    byId('tally').textContent = progress + words.join(' · ');
  }

  #showProgress(done, all) {
    byId('progress').max = all;
    byId('progress').value = done;
    byId('progress').hidden = done === all;
  }

  #sort() {
    const order = ORDERS[byId('sort').value];
    byId('gallery').replaceChildren(...[...this.#photos].sort(order).map(photo => this.#cards.get(photo)));
  }

  async #sortByLikeness(photo) {
    const {signal} = this.#work;
    tell(byId('many-error'), '');
    announce('Comparing the photos.');
    const missing = this.#photos.filter(one => one.answer && !one.features);
    let done = 0;
    try {
      await eachOf(missing, AT_ONCE, async one => {
        const answer = await retrying(() => this.#client.features(one.blob, {model: this.#model, signal}), signal);
        one.features = answer.values;
        this.#showProgress(++done, missing.length);
        byId('tally').textContent = `${done} of ${missing.length} compared.`;
      }, signal);
    } catch (error) {
      if (signal.aborted) return;
      tell(byId('many-error'), error.message);
    }
    if (!signal.aborted) this.#count();
    if (signal.aborted || !photo.features) return;
    for (const one of this.#photos) one.likeness = one.features && likeness(photo.features, one.features);
    byId('sort').querySelector('[value=likeness]').hidden = false;
    byId('sort').value = 'likeness';
    this.#sort();
    this.#cards.get(photo).parts.opening.focus();
    announce(`Sorted by likeness to ${photo.name}.`);
  }

  #download() {
    const url = URL.createObjectURL(new Blob([answersAsCsv(this.#photos, this.#topK)], {type: 'text/csv'}));
    element('a', {href: url, download: 'photos.csv'}).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  }
}
