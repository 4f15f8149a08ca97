// @ts-check
/** The card of one speech: its text with the word that is spoken, its waveform, its times, and its file. */

import { html, nothing, render } from "../vendor/lit-html/lit-html.js";
import { Transport } from "../audio/transport.js";
import { formatNumber, language, t } from "../i18n.js";
import { icon } from "../icons.js";
import { errorBox, saveFile } from "../ui.js";
import { splitAtWords, wordAt } from "./words.js";

const CHARACTERS_A_SECOND = 14; // of usual speech; the waveform's first guess at the length

export class Clip {
  /** @param {import("./speech.js").Speech} speech @param {{remove: () => void}} actions */
  constructor(speech, { remove }) {
    this.speech = speech;
    this.remove = remove;
    this.element = document.createElement("article");
    this.element.className = "card clip";
    const expected = speech.running ? speech.wishes.input.length / CHARACTERS_A_SECOND / (speech.wishes.speed ?? 1) : 0;
    this.transport = new Transport(speech.player, { expected, moved: (seconds) => this.#highlight(seconds) });
    this.#samples = (/** @type {any} */ event) => this.transport.push(event.detail);
    this.#changed = () => this.draw();
    speech.addEventListener("samples", this.#samples);
    speech.addEventListener("change", this.#changed);
    this.draw();
  }

  #samples;
  #changed;
  #shown = -1;

  /** Stop drawing; the speech goes on. */
  close() {
    this.transport.close();
    this.speech.removeEventListener("samples", this.#samples);
    this.speech.removeEventListener("change", this.#changed);
  }

  draw() {
    const { speech } = this;
    render(
      html`
        <p class="spoken" lang=${speech.wishes.language || nothing}>${this.#text()}</p>
        ${speech.player.duration || speech.running ? this.transport.element : nothing} ${errorBox(speech.error)}
        <div class="row facts">
          <div class="row chips">${this.#facts().map((fact) => html`<span class="chip">${fact}</span>`)}</div>
          ${speech.running ? nothing : html`<div class="row buttons">${this.#buttons()}</div>`}
        </div>
      `,
      this.element,
    );
    this.#shown = -1;
    this.#highlight(speech.player.position);
  }

  #text() {
    const { speech } = this;
    const play = (/** @type {number} */ word) => () => speech.player.play(speech.words[word].start);
    return splitAtWords(speech.wishes.input, speech.words).map(({ text, word }) =>
      word < 0 ? text : html`<span class="word" data-word=${word} @click=${play(word)}>${text}</span>`,
    );
  }

  #buttons() {
    const { speech } = this;
    return html`
      ${speech.player.duration
        ? html`<button type="button" class="button small" @click=${() => saveFile(speech.file(), speech.fileName)}>
            ${icon("download")}${t("speak.download")}<span class="format">${speech.wishes.response_format}</span>
          </button>`
        : nothing}
      <button
        type="button"
        class="button small quiet"
        aria-label=${t("speak.remove")}
        title=${t("speak.remove")}
        @click=${this.remove}
      >
        ${icon("trash")}
      </button>
    `;
  }

  #facts() {
    const { speech } = this;
    const { duration } = speech.player;
    const facts = [[speech.model, speech.wishes.voice].filter(Boolean).join(" · ")];
    if (speech.state === "waiting") facts.push(t("speak.waiting"));
    if (speech.firstAudio) facts.push(t("speak.first_audio", { time: shortTime(speech.firstAudio) }));
    if (speech.state === "done" && duration) {
      facts.push(t("speak.pace", { times: formatNumber(duration / speech.seconds, 1) }));
    }
    if (speech.state === "stopped") facts.push(t("speak.stopped"));
    if (["length", "runaway"].includes(speech.finishReason)) facts.push(t(`speak.end_${speech.finishReason}`));
    if (speech.ignored.length) facts.push(t("speak.ignored", { fields: speech.ignored.join(", ") }));
    return facts;
  }

  /** @param {number} seconds */
  #highlight(seconds) {
    const { words, player } = this.speech;
    if (!words.length) return;
    const index = player.playing || seconds > 0 ? wordAt(words, seconds) : -1;
    if (index === this.#shown) return;
    this.#shown = index;
    this.element.querySelector(".word.now")?.classList.remove("now");
    this.element.querySelector(`.word[data-word="${index}"]`)?.classList.add("now");
  }
}

/** Return a short time with its unit. @param {number} seconds */
function shortTime(seconds) {
  const options = /** @type {const} */ ({ style: "unit", unitDisplay: "narrow" });
  return seconds < 1
    ? Math.round(seconds * 1000).toLocaleString(language(), { ...options, unit: "millisecond" })
    : seconds.toLocaleString(language(), { ...options, unit: "second", maximumFractionDigits: 1 });
}
