// SPDX-License-Identifier: Apache-2.0
// Asks for the key of a server that wants one. It is kept for this tab alone, until that is closed.
import {ClientError} from './client.js';
import {byId, tell} from './dom.js';

const PLACE = 'gcvit-key';
let asked = null;

/** The key that this tab has already, or ''. */
export function keptKey() {
  try {
    return sessionStorage.getItem(PLACE) ?? '';
  } catch {
    return '';
  }
}

function keep(key) {
  try {
    sessionStorage.setItem(PLACE, key);
  } catch {
    // It lasts as long as the page.
  }
}

/** All who ask at the same time get the same answer. Rejects where the form is closed without a key. */
export function askForKey(wasRefused) {
  asked ??= new Promise((resolve, reject) => {
    const dialog = byId('key'), input = byId('key-input');
    tell(byId('key-error'), wasRefused ? 'The server doesn\'t know this key.' : '');
    input.value = '';
    let key = '';
    byId('key-form').onsubmit = event => {
      event.preventDefault();
      key = input.value.trim();
      if (key) dialog.close();
    };
    byId('key-close').onclick = () => dialog.close();
    dialog.onclose = () => {
      asked = null;
      if (!key) return reject(new ClientError('This server answers only with a key.', {status: 401}));
      keep(key);
      resolve(key);
    };
    if (!dialog.open) dialog.showModal();
    input.focus();
  });
  return asked;
}
