// SPDX-License-Identifier: Apache-2.0
// The client interface of client.js over HTTP.
import {ClientError} from './client.js';

const SENTENCES = {
  413: 'This photo is larger than the server accepts.',
  415: 'The server doesn\'t know this kind of file. It reads JPEG, PNG and WebP photos.',
  503: 'The server has too much to do at the moment. Please try again.',
  504: 'The server didn\'t find the time to answer. Please try again.',
};

/** The URL of a question, which the equivalent command for a terminal shows too. Parameters that are undefined are left out. */
export function urlOf(path, parameters = {}) {
  const url = new URL(path, location.origin);
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined) url.searchParams.set(name, String(value));
  }
  url.search = url.search.replaceAll('%2C', ',');  // which reads better
  return url;
}

export function classifyUrl({topK, model}) {
  return urlOf('/v1/classify', {top_k: topK, model});
}

export function explainUrl({method, model, class: wanted, level, block, head, query, format}) {
  return urlOf('/v1/explain', {method, model, class: wanted, level, block, head, query: query?.join(','), format});
}

export class HttpClient {
  /** @param {(wasRefused: boolean) => Promise<string>} askForKey called where the server wants a key, or another one */
  constructor(askForKey) {
    this.askForKey = askForKey;
    this.key = '';
  }

  models({signal} = {}) {
    return this.#ask(urlOf('/v1/models'), {signal});
  }

  classify(photo, {topK, model, signal} = {}) {
    return this.#ask(classifyUrl({topK, model}), {photo, signal});
  }

  explain(photo, {signal, ...options} = {}) {
    return this.#ask(explainUrl(options), {photo, signal});
  }

  features(photo, {model, signal} = {}) {
    return this.#ask(urlOf('/v1/features', {model}), {photo, signal});
  }

  async #ask(url, {photo, signal}) {
    while (true) {
      const key = this.key;
      const answer = await this.#fetch(url, {photo, signal, key});
      if (answer.status !== 401) return this.#read(answer);
      // Another question may have got a key meanwhile.
      if (this.key === key) this.key = await this.askForKey(key !== '');
    }
  }

  async #fetch(url, {photo, signal, key}) {
    const headers = {};
    if (key) headers.Authorization = `Bearer ${key}`;
    if (photo) headers['Content-Type'] = photo.type || 'application/octet-stream';
    try {
      return await fetch(url, {method: photo ? 'POST' : 'GET', headers, body: photo, signal, cache: 'no-store', credentials: 'omit'});
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new ClientError('The server doesn\'t answer. Is it still running?');
    }
  }

  async #read(answer) {
    let content;
    try {
      content = await answer.json();
    } catch (error) {
      if (error.name === 'AbortError') throw error;
      throw new ClientError(`The server's answer can't be read (status ${answer.status}).`, {status: answer.status});
    }
    if (answer.ok) return content;
    const retryAfter = answer.headers.get('Retry-After');
    throw new ClientError(SENTENCES[answer.status] ?? sentenceOf(content.error), {
      status: answer.status,
      retryAfter: answer.status === 503 && retryAfter !== null ? Number(retryAfter) || 0 : undefined,
    });
  }
}

/** A server's error for people: without its area, as a sentence. */
function sentenceOf(error) {
  const text = String(error ?? 'the server gave no reason').replace(/^\[[\w-]+\] /, '');
  return `The server says: ${text.replace(/\.$/, '')}.`;
}
