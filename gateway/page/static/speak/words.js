// @ts-check
/** The text of a speech, with each word that has times as an element of its own. */

/**
 * Split a text at its words with times. A word that is not found in the rest of the text is passed over.
 * @param {string} text @param {import("./speech.js").Word[]} words
 * @returns {{text: string, word: number}[]} `word` is the index in `words`; -1 between words
 */
export function splitAtWords(text, words) {
  const parts = [];
  let at = 0;
  words.forEach(({ word }, index) => {
    const wanted = word.trim();
    const found = wanted ? find(text, wanted, at) : -1;
    if (found < 0) return;
    if (found > at) parts.push({ text: text.slice(at, found), word: -1 });
    parts.push({ text: text.slice(found, found + wanted.length), word: index });
    at = found + wanted.length;
  });
  if (at < text.length) parts.push({ text: text.slice(at), word: -1 });
  return parts;
}

/** Return the index of the word that is spoken at a time, or of the last one before; -1 before the first. */
export function wordAt(/** @type {{start: number}[]} */ words, /** @type {number} */ seconds) {
  let low = 0;
  let high = words.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (words[middle].start <= seconds) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** A word is searched near the one before, so that one which the server wrote otherwise does not skip a passage. */
const NEAR = 200; // characters

/** @param {string} text @param {string} word @param {number} from */
function find(text, word, from) {
  const near = text.slice(from, from + NEAR + word.length).toLowerCase();
  const found = near.indexOf(word.toLowerCase());
  return found < 0 ? -1 : from + found;
}
