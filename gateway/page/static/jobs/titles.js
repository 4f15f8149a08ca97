// @ts-check
/** What this browser knows of its jobs beside what the server keeps: the name of the file, or the first words. */

const STORED = "tritone.jobs";
const MOST = 200;
const CHARS = 80;

/** @returns {Record<string, string>} */
function all() {
  try {
    return JSON.parse(localStorage.getItem(STORED) ?? "{}");
  } catch {
    return {};
  }
}

/** Return the title of a job; empty if it was created elsewhere. @param {string} id */
export function titleOf(id) {
  return all()[id] ?? "";
}

/** Keep the title of a job. @param {string} id @param {string} title */
export function keepTitle(id, title) {
  const short = title.length > CHARS ? `${title.slice(0, CHARS)}…` : title;
  const entries = [...Object.entries(all()), [id, short]].slice(-MOST);
  localStorage.setItem(STORED, JSON.stringify(Object.fromEntries(entries)));
}
