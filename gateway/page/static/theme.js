// @ts-check
/** The colour theme: the system's, or the one that the user chose. */

const STORED = "tritone.theme";
const THEMES = /** @type {const} */ (["system", "light", "dark"]);

/** @typedef {typeof THEMES[number]} Theme */

/** Return the chosen theme. @returns {Theme} */
export function theme() {
  const stored = /** @type {Theme} */ (localStorage.getItem(STORED));
  return THEMES.includes(stored) ? stored : "system";
}

/** Choose a theme, and show the page in it. @param {Theme} chosen */
export function setTheme(chosen) {
  localStorage.setItem(STORED, chosen);
  apply();
}

/** Return the theme after the current one, in the order of the button. @returns {Theme} */
export function nextTheme() {
  return THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length];
}

/** Call `changed` when the colours change, until the returned function is called. @param {() => void} changed */
export function onColours(changed) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const observer = new MutationObserver(changed);
  observer.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  system.addEventListener("change", changed);
  return () => {
    observer.disconnect();
    system.removeEventListener("change", changed);
  };
}

function apply() {
  document.documentElement.dataset.theme = theme();
}

apply();
