// @ts-check
/** A transcript as text, subtitles or JSON. */

import { splitAtWords } from "../speak/words.js";

const MOST_SECONDS = 6; // of a cue
const MOST_COLUMNS = 84; // two lines
const PAUSE = 0.8; // seconds without speech that end a cue
const SENTENCE = /[.!?…。！？]["'”’」』)]*\s*$/;

/** @typedef {import("./transcript.js").Transcript} Transcript */
/** @typedef {{start: number, end: number, text: string}} Cue */

/** The forms, by the ending of the file. @type {Record<string, {type: string, make: (transcript: Transcript) => string}>} */
export const FORMS = {
  txt: { type: "text/plain", make: plainText },
  srt: { type: "application/x-subrip", make: (transcript) => cues(transcript).map(srtCue).join("\n") },
  vtt: { type: "text/vtt", make: (transcript) => `WEBVTT\n\n${cues(transcript).map(vttCue).join("\n")}` },
  json: {
    type: "application/json",
    make: ({ text, languages, segments, model }) => JSON.stringify({ text, languages, model, segments }, null, 2),
  },
};

/** Return the text; with speakers, a line for each turn. @param {Transcript} transcript */
export function plainText({ segments, text, pending }) {
  if (!segments.some(({ speaker }) => speaker)) return `${text || pending}\n`;
  const lines = [];
  let last;
  for (const { speaker, text: said } of segments) {
    if (speaker === last) lines[lines.length - 1] += ` ${said}`;
    else lines.push(`${speaker}: ${said}`);
    last = speaker;
  }
  return `${lines.join("\n")}\n`;
}

/** Return cues of at most two lines, which end after sentences and in pauses. @param {Transcript} transcript @returns {Cue[]} */
export function cues({ segments }) {
  return segments.flatMap((segment) => (segment.words?.length ? cuesOf(segment, segment.words) : [segment]));
}

/** @param {import("./transcript.js").Segment} segment @param {import("./transcript.js").Word[]} words @returns {Cue[]} */
function cuesOf(segment, words) {
  /** @type {Cue[]} */
  const made = [];
  let open = false;
  for (const { text, word } of splitAtWords(segment.text, words)) {
    const last = made.at(-1);
    if (word < 0) {
      if (last) last.text += text; // marks and spaces after a word
      continue;
    }
    const { start, end } = words[word];
    const full = last && (start - last.end > PAUSE || end - last.start > MOST_SECONDS || width(last.text + text) > MOST_COLUMNS);
    if (!last || !open || full || SENTENCE.test(last.text)) made.push({ start, end, text });
    else Object.assign(last, { end, text: last.text + text });
    open = true;
  }
  return made.map((cue) => ({ ...cue, text: cue.text.trim() }));
}

/** Columns of a text; full-width characters take two. @param {string} text */
function width(text) {
  return [...text].reduce((sum, letter) => sum + (/[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\uff00-\uff60]/.test(letter) ? 2 : 1), 0);
}

/** Break a long text into two lines of about the same length. @param {string} text */
function lines(text) {
  if (width(text) <= MOST_COLUMNS / 2) return text;
  const spaces = [...text.matchAll(/\s+/g)].map((match) => match.index);
  const half = text.length / 2;
  const at = spaces.sort((one, other) => Math.abs(one - half) - Math.abs(other - half))[0] ?? Math.round(half);
  return `${text.slice(0, at).trim()}\n${text.slice(at).trim()}`;
}

/** @param {Cue} cue @param {number} index */
function srtCue({ start, end, text }, index) {
  return `${index + 1}\n${stamp(start, ",")} --> ${stamp(end, ",")}\n${lines(text)}\n`;
}

/** @param {Cue} cue */
function vttCue({ start, end, text }) {
  const escaped = lines(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  return `${stamp(start, ".")} --> ${stamp(end, ".")}\n${escaped}\n`;
}

/** @param {number} seconds @param {string} point */
function stamp(seconds, point) {
  const whole = Math.round(seconds * 1000);
  const two = (/** @type {number} */ value) => String(Math.floor(value)).padStart(2, "0");
  const [hours, minutes, rest] = [whole / 3_600_000, (whole / 60_000) % 60, (whole / 1000) % 60];
  return `${two(hours)}:${two(minutes)}:${two(rest)}${point}${String(whole % 1000).padStart(3, "0")}`;
}
