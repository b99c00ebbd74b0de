// SPDX-License-Identifier: Apache-2.0
// Dark or light, as the system is or as was chosen here. A plain script, as it must run before anything is drawn.
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
