// @ts-check
/** A recording of a voice: from the microphone, with a meter of its level, or from a file. */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { Recording } from "../audio/microphone.js";
import { toFloats } from "../audio/pcm.js";
import { Waveform } from "../audio/waveform.js";
import { clock, t } from "../i18n.js";
import { icon } from "../icons.js";
import { errorBox } from "../ui.js";

const LEAST = 1; // seconds that the server takes
const MOST = 30;
const QUIET = 0.06; // the highest level of a recording that is too quiet
const CLIPPED = 0.995;

export class Recorder {
  /**
   * @param {() => void} changed called after each change of what is shown
   * @param {(file: File) => void} [chosen] called with each new recording
   */
  constructor(changed, chosen = () => {}) {
    this.#changed = changed;
    this.#chosen = chosen;
    /** @type {"empty" | "opening" | "recording" | "done"} */
    this.state = "empty";
    /** @type {File | null} */
    this.file = null;
    this.address = "";
    /** @type {"" | "short" | "quiet" | "loud"} what may be wrong with the recording */
    this.doubt = "";
    /** @type {unknown} */
    this.error = null;
    this.canvas = document.createElement("canvas");
    this.canvas.className = "wave";
    this.canvas.setAttribute("aria-hidden", "true");
    this.level = document.createElement("div");
    this.level.className = "level";
    this.level.setAttribute("aria-hidden", "true");
    this.clock = document.createElement("span");
    this.clock.className = "clock";
  }

  #changed;
  #chosen;
  /** @type {Recording | null} */
  #recording = null;
  /** @type {Waveform | null} */
  #wave = null;
  #peak = 0;

  /** Record from the microphone, for `MOST` seconds at most. */
  async start() {
    this.clear();
    this.state = "opening";
    this.#changed();
    const recording = new Recording((_, samples) => this.#hear(samples));
    this.#recording = recording;
    try {
      await recording.start();
      if (this.#recording !== recording) return recording.cancel(); // the user left meanwhile
      this.#wave = new Waveform(this.canvas, { expected: 15 });
      this.#peak = 0;
      this.clock.textContent = clock(0);
      this.state = "recording";
    } catch (error) {
      this.#recording = null;
      this.state = "empty";
      this.error = error;
    }
    this.#changed();
  }

  /** End the recording from the microphone. */
  stop() {
    const recording = this.#recording;
    if (this.state !== "recording" || !recording) return;
    const { seconds } = recording;
    const file = new File([recording.stop()], "recording.wav", { type: "audio/wav" });
    this.#release();
    this.use(file);
    this.doubt = seconds < LEAST ? "short" : this.#peak < QUIET ? "quiet" : this.#peak > CLIPPED ? "loud" : "";
    this.#changed();
  }

  /** Take a file. @param {File} file */
  use(file) {
    this.clear();
    this.file = file;
    this.address = URL.createObjectURL(file);
    this.state = "done";
    this.#changed();
    this.#chosen(file);
  }

  /** Forget the recording, and let go of the microphone. */
  clear() {
    this.#recording?.cancel();
    this.#release();
    if (this.address) URL.revokeObjectURL(this.address);
    this.address = this.doubt = "";
    this.file = this.error = null;
    this.state = "empty";
  }

  #release() {
    this.#recording = null;
    this.#wave?.close();
    this.#wave = null;
  }

  /** @param {Int16Array} samples */
  #hear(samples) {
    const recording = /** @type {Recording} */ (this.#recording);
    if (this.state !== "recording" || !recording) return;
    this.#peak = Math.max(this.#peak, recording.level);
    this.#wave?.push(toFloats(samples));
    this.level.style.setProperty("--level", String(Math.min(1, Math.sqrt(recording.level))));
    this.level.classList.toggle("loud", recording.level > CLIPPED);
    const text = clock(recording.seconds);
    if (this.clock.textContent !== text) this.clock.textContent = text;
    if (recording.seconds >= MOST) this.stop();
  }
}

/**
 * Return the controls of a recording. @param {Recorder} recorder
 * @param {{text: string, language: string, id: string}} options `text` is to be read aloud, in a language
 */
export function recorderField(recorder, { text, language, id }) {
  return html`
    <div class="recorder stack" id=${id}>
      <figure class="reading">
        <figcaption>${t("voices.read_aloud")}</figcaption>
        <blockquote lang=${language}>${text}</blockquote>
      </figure>
      ${recorder.state === "recording" ? recording(recorder) : recorder.state === "done" ? done(recorder) : empty(recorder)}
      ${errorBox(recorder.error)}
    </div>
  `;
}

/** @param {Recorder} recorder */
function empty(recorder) {
  return html`
    <div class="row">
      <button
        type="button"
        class="button"
        data-act="record"
        ?disabled=${recorder.state === "opening"}
        @click=${() => recorder.start()}
      >
        ${icon("microphone")}${recorder.state === "opening" ? t("voices.opening") : t("voices.record")}
      </button>
      ${fileButton(recorder, t("voices.choose_file"))}
    </div>
  `;
}

/** @param {Recorder} recorder */
function recording(recorder) {
  return html`
    <div class="live">${recorder.canvas}${recorder.level}</div>
    <div class="row">
      <button type="button" class="button primary" data-act="stop" @click=${() => recorder.stop()}>
        ${icon("stop")}${t("voices.stop")}
      </button>
      ${recorder.clock}<span class="muted">${t("voices.best_length")}</span>
    </div>
  `;
}

/** @param {Recorder} recorder */
function done(recorder) {
  return html`
    <audio controls src=${recorder.address} aria-label=${t("voices.recording")}></audio>
    ${recorder.doubt
      ? html`<p class="doubt" role="status">${icon("alert")}<span>${t(`voices.doubt_${recorder.doubt}`)}</span></p>`
      : nothing}
    <div class="row">
      <button type="button" class="button small" data-act="record" @click=${() => recorder.start()}>
        ${icon("microphone")}${t("voices.record_again")}
      </button>
      ${fileButton(recorder, t("voices.other_file"), "small")}
      ${recorder.file && recorder.file.name !== "recording.wav"
        ? html`<span class="muted">${recorder.file.name}</span>`
        : nothing}
    </div>
  `;
}

/** @param {Recorder} recorder @param {string} text @param {string} [size] */
function fileButton(recorder, text, size = "") {
  return html`
    <label class="button ${size} file">
      ${icon("upload")}${text}
      <input
        type="file"
        class="hidden"
        accept="audio/*,video/*"
        @change=${(/** @type {any} */ event) => {
          const [file] = event.target.files;
          event.target.value = "";
          if (file) recorder.use(file);
        }}
      />
    </label>
  `;
}
