// SPDX-License-Identifier: Apache-2.0
// The page: from files to one photo with its answer, or to a gallery.
import {setUpCamera} from './camera.js';
import {retrying} from './client.js';
import {setUpCommand, showCommand} from './command.js';
import {announce, byId, element, percent, tell} from './dom.js';
import {Gallery} from './gallery.js';
import {classifyUrl, HttpClient} from './http_client.js';
import {askForKey, keptKey} from './key_form.js';
import {knownClasses, showCard} from './model_card.js';
import {filesOf, photoOf, pictureOf, prepare} from './photos.js';
import {Why} from './why.js';

const TOP_K = 5;
const SURE = 0.5;  // below it the verdict is "perhaps"

const client = new HttpClient(askForKey);
client.key = keptKey();
const why = new Why(client, showQuestion);
const gallery = new Gallery(client, TOP_K, photo => {
  // The browser's own button leads back to the gallery.
  galleryAt = scrollY;
  history.pushState(null, '');
  showOne(photo);
});

let cards = [];
let card = null;  // of the chosen model; `asked` is its name where requests must tell it
let canExplain = false;
let photos = [];
let shown = null;  // the one photo
let asked = new AbortController();
let galleryAt = 0;  // how far down it was left
let ready;  // once the models are known, or can't be

/** What the newest question is; older ones end. */
function newQuestion() {
  asked.abort();
  asked = new AbortController();
  return asked.signal;
}

function view(name) {
  document.body.dataset.view = name;
  byId('one').hidden = name !== 'one';
  byId('many').hidden = name !== 'many';
}

async function take(files) {
  tell(byId('source-error'), '');
  tell(byId('source-note'), '');
  if (files.length === 0) return;
  const signal = newQuestion();
  gallery.stop();
  const taken = files.map(photoOf);
  if (taken.length === 1) {
    const [photo] = taken;
    await prepare(photo);
    if (signal.aborted) return;
    if (photo.error) return tell(byId('source-error'), photo.error);
    tell(byId('source-note'), photo.note);
    photos = taken;
    return showOne(photo);
  }
  photos = taken;
  showMany();
}

async function showMany() {
  const signal = newQuestion();
  shown = null;
  why.explain(null);
  view('many');
  showQuestion();
  await ready;
  if (!signal.aborted) gallery.show(photos, card?.asked);
}

/** One photo. A gallery has its answer already. */
async function showOne(photo) {
  const signal = newQuestion();
  const [picture] = await Promise.all([pictureOf(photo), ready]);
  if (signal.aborted) return picture?.close();
  shown = photo;
  view('one');
  byId('back').hidden = photos.length < 2;
  byId('caption').textContent = photo.name;
  why.show(photo, picture, card);
  showQuestion();
  if (photos.length > 1) scrollTo({top: 0});
  if (photo.answer && photos.length > 1) {
    showAnswer(photo.answer);
  } else {
    await classify(photo, signal);
  }
}

async function classify(photo, signal) {
  showWaiting();
  const began = performance.now();
  try {
    const answer = await retrying(() => client.classify(photo.blob, {topK: TOP_K, model: card?.asked, signal}), signal);
    if (signal.aborted) return;
    photo.answer = answer;
    showAnswer(answer, performance.now() - began);
  } catch (error) {
    if (!signal.aborted) showProblem(error);
  }
}

function showWaiting() {
  byId('one').setAttribute('aria-busy', 'true');
  tell(byId('one-error'), '');
  byId('again').hidden = byId('hint').hidden = true;
  byId('latency').textContent = '';
  byId('verdict').textContent = 'Looking …';
  byId('bars').replaceChildren();
}

function showProblem(error) {
  byId('one').removeAttribute('aria-busy');
  byId('verdict').textContent = 'No answer';
  tell(byId('one-error'), error.message);
  byId('again').hidden = [400, 413, 415].includes(error.status);
}

function showAnswer(answer, roundTrip) {
  showWaiting();
  byId('one').removeAttribute('aria-busy');
  const [best] = answer.predictions;
  byId('verdict').replaceChildren(best.probability < SURE ? 'Perhaps ' : '', element('bdi', {textContent: best.label}));
  byId('bars').replaceChildren(...answer.predictions.map(barOf));
  byId('hint').hidden = !canExplain;
  byId('latency').textContent = `${answer.milliseconds.toFixed(0)} ms in the server` +
      (roundTrip === undefined ? '' : `, ${roundTrip.toFixed(0)} ms with the way there and back`);
  announce(`${best.label}, ${percent(best.probability)}`);
}

function barOf(prediction) {
  const fill = element('span', {className: 'fill'});
  fill.style.width = `${100 * prediction.probability}%`;
  const words = [element('bdi', {className: 'label', textContent: prediction.label}),
    element('span', {className: 'number', textContent: percent(prediction.probability)}), element('span', {className: 'track'}, fill)];
  if (!canExplain) return element('div', {className: 'bar'}, ...words);
  const bar = element('button', {type: 'button', className: 'bar', 'aria-pressed': 'false'}, ...words);
  bar.addEventListener('click', () => {
    const isOn = bar.getAttribute('aria-pressed') === 'true';
    for (const other of byId('bars').children) other.setAttribute('aria-pressed', String(other === bar && !isOn));
    byId('hint').hidden = !isOn;
    why.explain(isOn ? null : prediction);
    showQuestion();
  });
  return bar;
}

/** The command of what is shown, or of what could be asked. */
function showQuestion() {
  const explanation = why.url();
  showCommand({
    url: explanation ?? classifyUrl({topK: TOP_K, model: card?.asked}),
    file: shown?.name ?? 'photo.jpg',
    output: explanation ? 'why.png' : '',
    hasKey: client.key !== '',
  });
}

function chooseModel(index) {
  card = {...cards[index], asked: index === 0 ? undefined : cards[index].name};
  showCard(card);
  byId('lead').textContent = `${knownClasses(card)} See what it takes your photo for, and why.`;
  showQuestion();
}

/** The models, once the server tells them. The page asks without them where it doesn't. */
async function loadModels() {
  tell(byId('about-error'), '');
  try {
    const found = await retrying(() => client.models());
    cards = found.models;
    canExplain = found.explain;
  } catch (error) {
    return tell(byId('about-error'), error.message);
  }
  byId('model').replaceChildren(...cards.map(({name}, index) => new Option(name, index)));
  byId('model-picker').hidden = cards.length < 2;
  chooseModel(0);
}

function setUpSources() {
  byId('pick').addEventListener('click', () => byId('files').click());
  byId('files').addEventListener('change', () => {
    const files = [...byId('files').files];
    byId('files').value = '';
    take(files);
  });
  for (const button of document.querySelectorAll('[data-example]')) {
    button.addEventListener('click', async () => {
      const name = button.dataset.example;
      try {
        const answer = await fetch(`/page/${name}`);
        take([new File([await answer.blob()], name)]);
      } catch {
        tell(byId('source-error'), 'The server doesn\'t answer. Is it still running?');
      }
    });
  }
  addEventListener('paste', event => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length > 0) take(files);
  });
  setUpDrop();
  setUpCamera(file => take([file]));
}

/** The whole page takes what is dropped: a browser would open it instead. */
function setUpDrop() {
  const hasFiles = event => event.dataTransfer?.types.includes('Files');
  addEventListener('dragover', event => {
    event.preventDefault();
    byId('dropping').hidden = !hasFiles(event);
  });
  addEventListener('dragleave', event => {
    if (!event.relatedTarget) byId('dropping').hidden = true;
  });
  addEventListener('drop', async event => {
    event.preventDefault();
    byId('dropping').hidden = true;
    if (!hasFiles(event)) {
      return tell(byId('source-error'), 'That wasn\'t a file. Save the picture first, then drop its file here.');
    }
    take(await filesOf(event.dataTransfer));
  });
}

history.scrollRestoration = 'manual';
setUpSources();
setUpCommand();
byId('back').addEventListener('click', () => history.back());
addEventListener('popstate', () => {
  if (photos.length < 2 || !shown) return;
  newQuestion();
  why.explain(null);
  shown = null;
  view('many');
  showQuestion();
  scrollTo({top: galleryAt});
});
byId('again').addEventListener('click', () => {
  if (!card) ready = loadModels();
  showOne(shown);
});
byId('model').addEventListener('change', () => {
  chooseModel(Number(byId('model').value));
  for (const photo of photos) photo.answer = undefined;
  if (photos.length > 1) return showMany();
  if (shown) showOne(shown);
});
showQuestion();
ready = loadModels();
byId('drop').disabled = false;
