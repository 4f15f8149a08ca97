// @ts-check
/** One text that is spoken: its request, its audio as it arrives, its file, and what is known of it. */

import { eventsOf, isAbort } from "../api.js";
import { FileDecoder } from "../audio/decoder.js";
import { PcmParser, RATE, fromBase64, toIntegers, wavFile } from "../audio/pcm.js";
import { Player } from "../audio/player.js";

/** @typedef {{word: string, start: number, end: number}} Word times in seconds from the start of the audio */
/**
 * @typedef {object} Wishes what the user asked for; fields of the request
 * @property {string} input
 * @property {string} model
 * @property {string} voice
 * @property {string} response_format
 * @property {boolean} stream
 * @property {boolean} words whether the model reports the times of words
 * @property {string} [language]
 * @property {string} [instructions]
 * @property {number} [speed]
 * @property {number} [sample_rate]
 */

/** Formats whose samples come as they are; the page writes the header of a WAV itself. */
const RAW = ["wav", "pcm"];
const MEDIA_TYPES = { mp3: "audio/mpeg", opus: "audio/ogg", aac: "audio/aac", flac: "audio/flac", pcm: "audio/pcm" };
let count = 0;

/** Events: `change` when the state or the words change, and `samples` with the new samples in `detail`. */
export class Speech extends EventTarget {
  /** @param {Wishes} wishes */
  constructor(wishes) {
    super();
    this.id = ++count;
    this.wishes = wishes;
    /** @type {"waiting" | "streaming" | "done" | "stopped" | "failed"} */
    this.state = "waiting";
    /** @type {unknown} */
    this.error = null;
    /** @type {Word[]} */
    this.words = [];
    /** Seconds from the request to the first audio, and to the end; 0 before. */
    this.firstAudio = 0;
    this.seconds = 0;
    this.finishReason = "";
    this.model = wishes.model;
    /** @type {string[]} the fields without effect */
    this.ignored = [];
    this.player = new Player(RATE);
  }

  /** @type {Uint8Array[]} */
  #pieces = [];
  #abort = new AbortController();
  #began = 0;

  /** Whether the server still works on it. */
  get running() {
    return this.state === "waiting" || this.state === "streaming";
  }

  /** Request the speech, and play it while it arrives. @param {import("../api.js").Api} api */
  async run(api) {
    this.#began = performance.now();
    try {
      await (this.wishes.stream ? this.#stream(api) : this.#whole(api));
      this.#end("done");
    } catch (error) {
      this.error = isAbort(error) ? null : error;
      this.#end(isAbort(error) ? "stopped" : "failed");
    }
  }

  /** Cancel the request; what has arrived stays. */
  stop() {
    this.#abort.abort();
    this.player.pause();
  }

  /** Return the file, in the format that was asked for. @returns {Blob} */
  file() {
    const format = /** @type {keyof typeof MEDIA_TYPES} */ (this.wishes.response_format);
    if (/** @type {string} */ (format) === "wav") return wavFile([toIntegers(this.player.samples())], this.player.rate);
    return new Blob(/** @type {BlobPart[]} */ (this.#pieces), { type: MEDIA_TYPES[format] });
  }

  /** The name of the file. */
  get fileName() {
    const words = this.wishes.input.trim().split(/\s+/).slice(0, 5).join("-");
    const name = words.replace(/[^\p{L}\p{N}-]/gu, "").slice(0, 40) || "speech";
    return `${name}.${this.wishes.response_format}`;
  }

  /** @param {import("../api.js").Api} api */
  async #stream(api) {
    const raw = RAW.includes(this.wishes.response_format);
    const response = await this.#request(api, {
      stream_format: "sse",
      response_format: raw ? "pcm" : this.wishes.response_format,
      ...(this.wishes.words ? { timestamp_granularities: ["word"] } : {}),
    });
    const push = this.#startPlayer(raw, Number(response.headers.get("x-sample-rate")) || RATE);
    for await (const event of eventsOf(response)) {
      if (event.type === "speech.audio.delta") push.bytes(fromBase64(event.audio));
      else if (event.type === "speech.audio.timestamps") this.#addWords(event.words);
      else if (event.type === "speech.audio.done") this.finishReason = event.finish_reason ?? "stop";
    }
    await push.finish();
  }

  /** @param {import("../api.js").Api} api */
  async #whole(api) {
    const raw = RAW.includes(this.wishes.response_format);
    const response = await this.#request(api, {
      stream: false,
      response_format: raw ? "pcm" : this.wishes.response_format,
    });
    const push = this.#startPlayer(raw, Number(response.headers.get("x-sample-rate")) || RATE);
    this.finishReason = response.headers.get("x-finish-reason") ?? "";
    push.bytes(new Uint8Array(await response.arrayBuffer()));
    await push.finish();
  }

  /** @param {import("../api.js").Api} api @param {object} more */
  async #request(api, more) {
    const { stream: _stream, words: _words, ...fields } = this.wishes;
    const response = await api.response("v1/audio/speech", { json: { ...fields, ...more }, signal: this.#abort.signal });
    this.model = response.headers.get("x-tritone-model") ?? this.model;
    const ignored = (response.headers.get("x-tritone-ignored") ?? "").split(",").map((name) => name.trim());
    this.ignored = ignored.filter(Boolean);
    return response;
  }

  /** @param {boolean} raw @param {number} rate */
  #startPlayer(raw, rate) {
    this.player.rate = rate;
    this.player.play();
    const parser = new PcmParser();
    const { player } = this;
    const buffered = () => (player.playing ? player.duration - player.position : Infinity);
    const decoder = new FileDecoder(rate, (samples) => this.#addSamples(samples), buffered);
    return {
      bytes: (/** @type {Uint8Array} */ bytes) => {
        if (!bytes.length) return;
        if (!this.firstAudio) {
          this.firstAudio = (performance.now() - this.#began) / 1000;
          this.state = "streaming";
          this.#changed();
        }
        this.#pieces.push(bytes);
        if (raw) this.#addSamples(parser.push(bytes));
        else decoder.push(bytes);
      },
      finish: async () => {
        if (!raw && this.#pieces.length) await decoder.finish();
      },
    };
  }

  /** @param {Float32Array} samples */
  #addSamples(samples) {
    this.player.push(samples);
    this.dispatchEvent(new CustomEvent("samples", { detail: samples }));
  }

  /** @param {Word[]} words */
  #addWords(words) {
    this.words.push(...words);
    this.#changed();
  }

  /** @param {Speech["state"]} state */
  #end(state) {
    this.state = state;
    this.seconds = (performance.now() - this.#began) / 1000;
    this.player.finish();
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
