// Light or dark, before the first paint: what was chosen here, else what the system prefers.
//
// Not a module: a module would run after the page was shown in the other colours.
'use strict';
{
  const KEY = 'timely.theme';
  const root = document.documentElement;
  const dark = matchMedia('(prefers-color-scheme: dark)');
  // Some browsers forbid storage; then a choice lasts as long as the page.
  const stored = () => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return root.dataset.theme;
    }
  };
  const store = (theme) => {
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // The page has it.
    }
  };

  const chosen = stored();
  if (chosen === 'dark' || chosen === 'light') root.dataset.theme = chosen;
  root.classList.add('scripted');

  document.addEventListener('DOMContentLoaded', () => {
    const button = document.getElementById('theme');
    if (!button) return;
    const now = () => root.dataset.theme ?? (dark.matches ? 'dark' : 'light');
    const other = () => (now() === 'dark' ? 'light' : 'dark');
    const label = () => {
      button.textContent = other() === 'dark' ? 'Dark' : 'Light';
      button.setAttribute('aria-label', `Use ${other()} colours`);
    };
    button.addEventListener('click', () => {
      root.dataset.theme = other();
      store(root.dataset.theme);
      label();
    });
    dark.addEventListener('change', label);
    label();
  });
}
