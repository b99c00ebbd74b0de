// SPDX-License-Identifier: Apache-2.0
// The present question as a command for a terminal.
import {announce, byId} from './dom.js';

/** As one word of a POSIX shell. */
export const quoted = text => /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll('\'', '\'\\\'\'')}'`;

/** `output` is a file for the answer, or nothing; with a key its place is shown, not the key. */
export function curlCommand({url, file, output, hasKey}) {
  const words = ['curl'];
  if (hasKey) words.push('-H "Authorization: Bearer $KEY"');
  if (output) words.push('-o', quoted(output));
  words.push('--data-binary', quoted(`@${file}`), quoted(String(url)));
  return words.join(' ');
}

export function setUpCommand() {
  byId('copy').addEventListener('click', async () => {
    const text = byId('curl').textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Without https there is no clipboard: what is selected can be copied by hand.
      getSelection().selectAllChildren(byId('curl'));
      announce('The command is selected.');
      return;
    }
    byId('copy').textContent = 'Copied';
    announce('Copied');
    setTimeout(() => { byId('copy').textContent = 'Copy'; }, 2000);
  });
}

export function showCommand(question) {
  byId('curl').textContent = curlCommand(question);
}
