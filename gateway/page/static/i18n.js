// @ts-check
/**
 * Texts in the user's language. The texts of a part of the page are in `locales/LANGUAGE/PART.json`, a flat object;
 * the key `speak.button` is the entry `button` of the part `speak`. `{name}` in a text stands for a parameter.
 */

const STORED = "tritone.language";

/** The languages of the page: BCP 47 tag -> its own name. */
export const LANGUAGES = { en: "English", ko: "한국어", "zh-TW": "繁體中文" };

/** Texts for when the server of the texts is not there. @type {Record<string, string>} */
const WITHOUT_SERVER = {
  "shell.error_unreachable": "The server cannot be reached. Is it running?",
  "shell.retry": "Try again",
};

/** @typedef {keyof typeof LANGUAGES} Language */

/** @type {Record<string, Record<string, string>>} */
let parts = {};
/** @type {Language} */
let current = "en";

/** Return the language of the page. @returns {Language} */
export function language() {
  return current;
}

/** Return the language that the user chose, or the first of the browser's that the page has. @returns {Language} */
export function preferredLanguage() {
  const stored = localStorage.getItem(STORED);
  for (const wanted of [stored, ...navigator.languages]) {
    const found = match(wanted ?? "");
    if (found) return found;
  }
  return "en";
}

/** Change the language, and forget the texts of the one before. @param {Language} chosen @param {boolean} [keep] */
export function setLanguage(chosen, keep = false) {
  if (keep) localStorage.setItem(STORED, chosen);
  current = chosen;
  parts = {};
  document.documentElement.lang = chosen;
}

/** Load the texts of parts of the page, unless they are there. @param {string[]} names */
export async function loadTexts(...names) {
  const chosen = current;
  const missing = names.filter((name) => !(name in parts));
  const loaded = await Promise.all(missing.map((name) => fetchPart(chosen, name)));
  if (chosen === current) missing.forEach((name, index) => (parts[name] = loaded[index]));
}

/**
 * Return the text of a key such as `speak.button`.
 * @param {string} key @param {Record<string, string | number>} [values]
 */
export function t(key, values = {}) {
  const [part, name] = key.split(/\.(.*)/s);
  const text = parts[part]?.[name] ?? WITHOUT_SERVER[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, field) => (field in values ? String(values[field]) : whole));
}

/** Return a number in the way of the language. @param {number} value @param {number} [digits] decimals */
export function formatNumber(value, digits = 0) {
  return value.toLocaleString(current, { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** Return the name of a language in the page's language. @param {string} code of ISO 639 */
export function languageName(code) {
  try {
    return new Intl.DisplayNames([current], { type: "language" }).of(code) ?? code;
  } catch {
    return code;
  }
}

/** Return seconds as `1:05`, or `1:02:05` from an hour on. @param {number} seconds */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const end = String(rest).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${end}` : `${minutes}:${end}`;
}

/** @param {string} tag @returns {Language | null} */
function match(tag) {
  const lower = tag.toLowerCase();
  if (lower.startsWith("zh")) return /hans|cn|sg/.test(lower) ? null : "zh-TW";
  const base = lower.split("-")[0];
  return base in LANGUAGES ? /** @type {Language} */ (base) : null;
}

/** @param {Language} tag @param {string} name @returns {Promise<Record<string, string>>} */
async function fetchPart(tag, name) {
  const response = await fetch(new URL(`locales/${tag}/${name}.json`, import.meta.url));
  if (!response.ok) throw new Error(`no texts of ${name} in ${tag}: ${response.status}`);
  return response.json();
}
