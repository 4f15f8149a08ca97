// @ts-check
/** The card of a transcript: the recording with its waveform, the text by segments and words, and its files. */

import { html, nothing, render } from "../vendor/lit-html/lit-html.js";
import { MediaPlayer } from "../audio/media_player.js";
import { Transport } from "../audio/transport.js";
import { clock, formatNumber, languageName, t } from "../i18n.js";
import { icon } from "../icons.js";
import { splitAtWords, wordAt } from "../speak/words.js";
import { errorBox, saveFile } from "../ui.js";
import { FORMS, plainText } from "./export.js";

const COLOURS = 6;

/** @typedef {import("./transcript.js").Segment} Segment */

export class Result {
  /** @param {import("./transcript.js").Transcript} transcript @param {{announce: (text: string) => void}} app */
  constructor(transcript, app) {
    this.transcript = transcript;
    this.app = app;
    this.element = document.createElement("article");
    this.element.className = "card stack transcript";
    this.player = new MediaPlayer(transcript.file);
    this.transport = new Transport(/** @type {any} */ (this.player), { moved: (seconds) => this.#highlight(seconds) });
    this.player.addEventListener("change", () => {
      this.transport.waveform.expected = this.player.duration;
      if (this.player.failed) this.draw();
    });
    this.player.waveSamples().then((samples) => this.transport.push(samples));
    this.#changed = () => this.draw();
    transcript.addEventListener("change", this.#changed);
    this.draw();
  }

  #changed;
  #copied = ""; // what became of the last copy
  /** @type {Element | null} */
  #shown = null;
  /** @type {HTMLElement[]} */
  #words = [];
  /** @type {{start: number}[]} */
  #starts = [];

  /** Stop drawing, and let go of the recording. */
  close() {
    this.transcript.removeEventListener("change", this.#changed);
    this.transport.close();
    this.player.close();
  }

  draw() {
    const { transcript } = this;
    const running = transcript.state === "running";
    const isEmpty = transcript.state === "done" && !transcript.text.trim();
    render(
      html`
        <div class="row">
          <h2 class="file">${icon("file")}${transcript.file.name}</h2>
          ${running
            ? html`<button
                type="button"
                class="button small spread"
                aria-keyshortcuts="Escape"
                title=${t("transcribe.stop_title")}
                @click=${() => transcript.stop()}
              >
                ${icon("stop")}${t("transcribe.stop")}
              </button>`
            : nothing}
        </div>
        ${this.player.failed ? nothing : this.transport.element} ${errorBox(transcript.error)}
        <div class="text" lang=${transcript.languages[0] ?? nothing} aria-busy=${running}>
          ${transcript.segments.map((segment, index) => this.#segment(segment, transcript.segments[index - 1]))}
          ${transcript.pending ? html`<p class=${transcript.segments.length ? "said coming" : "said"}>${transcript.pending}</p>` : nothing}
          ${running ? html`<p class="loading"><span class="spinner" aria-hidden="true"></span>${t("transcribe.running")}</p>` : nothing}
          ${isEmpty ? html`<p class="muted">${t("transcribe.no_speech")}</p>` : nothing}
        </div>
        ${transcript.state === "done" && !isEmpty ? this.#files() : nothing}
      `,
      this.element,
    );
    this.#words = [...this.element.querySelectorAll(".word")].map((word) => /** @type {HTMLElement} */ (word));
    this.#starts = this.#words.map((word) => ({ start: Number(word.dataset.start) }));
  }

  /** @param {Segment} segment @param {Segment | undefined} before */
  #segment(segment, before) {
    const speaker = segment.speaker ?? "";
    const play = () => this.player.play(segment.start);
    return html`
      <div class="segment" data-colour=${speaker ? this.transcript.speakers.indexOf(speaker) % COLOURS : nothing}>
        <button
          type="button"
          class="from"
          aria-label=${t("transcribe.play_from", { time: clock(segment.start) })}
          title=${t("transcribe.play_from", { time: clock(segment.start) })}
          @click=${play}
        >
          ${clock(segment.start)}
        </button>
        <div>
          ${speaker && speaker !== before?.speaker
            ? html`<span class="speaker">${speaker.length === 1 ? t("transcribe.speaker", { name: speaker }) : speaker}</span>`
            : nothing}
          <p class="said">${this.#textOf(segment)}</p>
        </div>
      </div>
    `;
  }

  /** @param {Segment} segment */
  #textOf({ text, words = [] }) {
    return splitAtWords(text, words).map(({ text: part, word }) =>
      word < 0
        ? part
        : html`<span class="word" data-start=${words[word].start} @click=${() => this.player.play(words[word].start)}>${part}</span>`,
    );
  }

  #files() {
    const { transcript } = this;
    const name = transcript.file.name.replace(/\.[^.]*$/, "");
    const facts = [
      transcript.model,
      ...transcript.languages.map(languageName),
      this.player.duration ? t("transcribe.pace", { times: formatNumber(this.player.duration / transcript.seconds, 1) }) : "",
    ].filter(Boolean);
    const copy = async () => {
      const copied = await navigator.clipboard.writeText(plainText(transcript)).then(
        () => true,
        () => false, // the browser or the user refuses it, or the page has lost the focus
      );
      this.#copied = copied ? t("transcribe.copied") : t("transcribe.not_copied");
      this.app.announce(this.#copied);
      this.draw();
    };
    return html`
      <div class="row facts">
        <div class="row chips">${facts.map((fact) => html`<span class="chip">${fact}</span>`)}</div>
        <div class="row" role="group" aria-label=${t("transcribe.download")}>
          ${this.#copied ? html`<span class="muted">${this.#copied}</span>` : nothing}
          ${isSecureContext
            ? html`<button type="button" class="button small" @click=${copy}>${icon("copy")}${t("transcribe.copy")}</button>`
            : nothing}
          ${Object.entries(FORMS)
            .filter(([form]) => transcript.segments.length || !["srt", "vtt"].includes(form))
            .map(
              ([form, { type, make }]) => html`<button
                type="button"
                class="button small"
                aria-label=${t("transcribe.download_form", { form: form.toUpperCase() })}
                @click=${() => saveFile(new Blob([make(transcript)], { type }), `${name}.${form}`)}
              >
                ${icon("download")}${form.toUpperCase()}
              </button>`,
            )}
        </div>
      </div>
    `;
  }

  /** @param {number} seconds */
  #highlight(seconds) {
    const now = this.player.playing || seconds > 0 ? (this.#words[wordAt(this.#starts, seconds)] ?? null) : null;
    if (now === this.#shown) return;
    this.#shown?.classList.remove("now");
    now?.classList.add("now");
    this.#shown = now;
  }
}
