// Light, dark, or as the system has it. Style follows `color-scheme`, so one property of the root element is all there is.

const KEY = 'porthole.theme';
const SYSTEM = matchMedia('(prefers-color-scheme: dark)');

/** Makes `button` switch between light and dark; what differs from the system's choice is remembered. */
export function theme(button) {
  const root = document.documentElement;
  const system = () => (SYSTEM.matches ? 'dark' : 'light');
  const now = () => root.style.colorScheme || system();
  const show = (scheme) => {
    root.style.colorScheme = scheme === system() ? '' : scheme;
    button.setAttribute('aria-label', now() === 'dark' ? 'Light colours' : 'Dark colours');
  };
  const toggle = () => {
    show(now() === 'dark' ? 'light' : 'dark');
    localStorage.setItem(KEY, root.style.colorScheme);
  };
  show(localStorage.getItem(KEY) || system());
  SYSTEM.addEventListener('change', () => show(localStorage.getItem(KEY) || system()));
  button.addEventListener('click', toggle);
  return toggle;
}
