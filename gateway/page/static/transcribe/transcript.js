// @ts-check
/** The transcription of a recording: its request, its text as it arrives, and its segments with words and speakers. */

import { eventsOf, isAbort } from "../api.js";

/** @typedef {{word: string, start: number, end: number}} Word */
/** @typedef {{id: string, start: number, end: number, text: string, speaker?: string, words?: Word[]}} Segment */
/**
 * @typedef {object} Wishes fields of the request
 * @property {string} model
 * @property {string} language empty: detected
 * @property {string} prompt
 * @property {boolean} speakers whether speakers are told apart
 * @property {boolean} words whether the model has times of words
 * @property {{name: string, reference: string}[]} known speakers, each with a recording as a data URL
 */

/** Events: `change`. */
export class Transcript extends EventTarget {
  /** @param {File} file @param {Wishes} wishes */
  constructor(file, wishes) {
    super();
    this.file = file;
    this.wishes = wishes;
    /** @type {"running" | "done" | "stopped" | "failed"} */
    this.state = "running";
    /** @type {unknown} */
    this.error = null;
    /** @type {Segment[]} */
    this.segments = [];
    /** The text of segments that have not arrived. */
    this.pending = "";
    this.text = "";
    /** @type {string[]} ISO 639 codes */
    this.languages = [];
    this.model = wishes.model;
    this.seconds = 0;
  }

  #abort = new AbortController();

  /** Speakers in the order of their first words. */
  get speakers() {
    return [...new Set(this.segments.map(({ speaker }) => speaker ?? ""))];
  }

  /** Request the transcription. @param {import("../api.js").Api} api */
  async run(api) {
    const began = performance.now();
    try {
      const response = await api.response("v1/audio/transcriptions", { form: this.#form(), signal: this.#abort.signal });
      this.model = response.headers.get("x-tritone-model") ?? this.model;
      for await (const event of eventsOf(response)) this.#take(event);
      this.state = "done";
    } catch (error) {
      this.state = isAbort(error) ? "stopped" : "failed";
      this.error = isAbort(error) ? null : error;
    }
    this.seconds = (performance.now() - began) / 1000;
    this.dispatchEvent(new Event("change"));
  }

  /** Cancel the request; what has arrived stays. */
  stop() {
    this.#abort.abort();
  }

  #form() {
    const { model, language, prompt, speakers, words, known } = this.wishes;
    const form = new FormData();
    form.append("file", this.file);
    form.append("model", model);
    form.append("stream", "true");
    form.append("response_format", speakers ? "diarized_json" : "json");
    if (words) form.append("timestamp_granularities[]", "word");
    if (language) form.append("language", language);
    if (prompt) form.append("prompt", prompt);
    for (const { name, reference } of speakers ? known : []) {
      form.append("known_speaker_names[]", name);
      form.append("known_speaker_references[]", reference);
    }
    return form;
  }

  /** @param {any} event */
  #take(event) {
    if (event.type === "transcript.text.delta") this.pending += event.delta;
    else if (event.type === "transcript.text.segment") {
      this.segments.push(event);
      this.pending = "";
    } else if (event.type === "transcript.text.done") {
      this.text = event.text;
      this.languages = (event.languages ?? []).map((/** @type {{code: string}} */ { code }) => code);
      if (this.segments.length) this.pending = "";
    }
    this.dispatchEvent(new Event("change"));
  }
}
