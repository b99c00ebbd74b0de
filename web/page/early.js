// SPDX-License-Identifier: Apache-2.0
// What can't wait for the modules. Before anything is drawn it makes the page dark or light, as the system is or as was chosen here.
(() => {
  const PLACE = 'gcvit-theme';
  const dark = matchMedia('(prefers-color-scheme: dark)');
  let chosen = null;
  try {
    chosen = localStorage.getItem(PLACE);
  } catch {
    // A browser that keeps nothing follows the system.
  }
  const show = () => {
    document.documentElement.dataset.theme = chosen ?? (dark.matches ? 'dark' : 'light');
    const button = document.getElementById('theme');
    button?.setAttribute('aria-pressed', String(document.documentElement.dataset.theme === 'dark'));
  };
  show();
  // What is dropped too early isn't opened instead of the page.
  for (const type of ['dragover', 'drop']) addEventListener(type, event => event.preventDefault());
  dark.addEventListener('change', show);
  addEventListener('DOMContentLoaded', () => {
    show();
    document.getElementById('theme').addEventListener('click', () => {
      chosen = document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark';
      try {
        localStorage.setItem(PLACE, chosen);
      } catch {
        // It lasts as long as the page.
      }
      show();
    });
  });
})();
