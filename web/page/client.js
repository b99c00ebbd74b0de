// SPDX-License-Identifier: Apache-2.0
// What the page wants of an engine. HttpClient asks a server; an engine in the browser may offer the same methods.
//
//   models({signal})            -> {models: [Card], explain: boolean}; the first model is the default
//   classify(photo, {topK, model, signal})
//                               -> {predictions: [{index, label, probability}], model, milliseconds}
//   explain(photo, {method, model, class, level, block, head, query: [row, column], signal})
//                               -> {method, level, label, range: [lowest, highest], empty,
//                                   map: {height, width, values}, photo: {height, width},
//                                   seen: {left, top, width, height}, milliseconds, ...}
//   features(photo, {model, signal}) -> {values: [number], shape, milliseconds}
//
// A photo is a Blob with a JPEG, PNG or WebP file. `map` has the values of equal cells that cover `seen`, a rectangle in the upright
// photo's pixels. docs/serving.md describes every key. What goes wrong is a ClientError; an aborted `signal` rejects with its reason.

/** Why there is no answer: a sentence for people, and what programs need to know of it. */
export class ClientError extends Error {
  /**
   * @param {string} sentence
   * @param {{status?: number, retryAfter?: number}} [facts] the HTTP status, 0 where nobody answered, and the seconds after which to
   *   try again, where it is worth it
   */
  constructor(sentence, {status = 0, retryAfter} = {}) {
    super(sentence);
    this.name = 'ClientError';
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

const MOST_TRIES = 8;
const SHORTEST_PAUSE = 0.25;  // seconds

/** Resolves behind so many seconds, or rejects with the signal's reason. */
function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, 1000 * seconds);
    signal?.addEventListener('abort', () => {
      clearTimeout(timer);
      reject(signal.reason);
    }, {once: true});
  });
}

/** Asks again while the engine is busy and says after how long to come back. */
export async function retrying(ask, signal) {
  for (let tries = 1; ; ++tries) {
    try {
      return await ask();
    } catch (error) {
      if (error.retryAfter === undefined || tries === MOST_TRIES) throw error;
      // Those who were refused together shall not come back together.
      await pause(Math.max(SHORTEST_PAUSE, error.retryAfter) * (0.75 + 0.5 * Math.random()), signal);
    }
  }
}

/** Runs `work(item)` for each item, so many at one time, until the signal aborts. */
export async function eachOf(items, atOnce, work, signal) {
  const waiting = [...items];
  const worker = async () => {
    while (waiting.length > 0 && !signal.aborted) await work(waiting.shift());
  };
  await Promise.all(Array.from({length: atOnce}, worker));
}
