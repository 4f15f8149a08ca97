// @ts-check
/** The cards of what the microphone hears: a live session, or a recording that is being made. */

import { html, nothing, render } from "../vendor/lit-html/lit-html.js";
import { Waveform } from "../audio/waveform.js";
import { clock, t } from "../i18n.js";
import { icon } from "../icons.js";
import { errorBox, saveFile } from "../ui.js";

const SHOWN = 8; // seconds of sound
const COLOURS = 6; // of speakers

/** The waveform, the time, and a button to stop. */
export class HeardCard {
  /** @param {{title: string, stop: () => void, stopText: string}} texts */
  constructor({ title, stop, stopText }) {
    this.element = document.createElement("div");
    this.element.className = "heard";
    render(
      html`
        <div class="row">
          <h2><span class="recording" aria-hidden="true"></span>${title}</h2>
          <span class="times" data-time>0:00</span>
          <button
            type="button"
            class="button primary spread"
            aria-keyshortcuts="Escape"
            title=${t("transcribe.stop_title")}
            @click=${stop}
          >
            ${icon("stop")}${stopText}
          </button>
        </div>
        <canvas class="wave"></canvas>
      `,
      this.element,
    );
    const canvas = /** @type {HTMLCanvasElement} */ (this.element.querySelector("canvas"));
    this.waveform = new Waveform(canvas, { rolling: SHOWN });
    this.#time = /** @type {HTMLElement} */ (this.element.querySelector("[data-time]"));
  }

  #time;

  /** Show what was heard. @param {Float32Array} samples @param {number} seconds since the beginning */
  push(samples, seconds) {
    this.waveform.push(samples);
    this.#time.textContent = clock(seconds);
  }

  close() {
    this.waveform.close();
  }
}

/**
 * Return the text of a live session; what may still change is fainter.
 * @param {import("./live.js").LiveSession} session @param {() => void} close
 */
export function liveText(session, close) {
  const ended = session.state === "ended";
  return html`
    <article class="card stack transcript">
      ${errorBox(session.error)}
      <div class="text" aria-live="polite" aria-busy=${!ended}>
        ${session.turns.map((turn, index) => turnText(session, turn, index === session.turns.length - 1))}
        ${session.turns.length
          ? nothing
          : html`<p class="muted">
              ${session.state === "opening" ? t("transcribe.opening") : ended ? t("transcribe.no_speech") : t("transcribe.say")}
            </p>`}
      </div>
      ${ended && session.turns.length
        ? html`<div class="row">
            <button
              type="button"
              class="button small"
              @click=${() => saveFile(new Blob([`${session.text}\n`], { type: "text/plain" }), "live.txt")}
            >
              ${icon("download")}TXT
            </button>
            <button type="button" class="button small quiet spread" @click=${close}>${t("transcribe.close")}</button>
          </div>`
        : nothing}
    </article>
  `;
}

/**
 * @param {import("./live.js").LiveSession} session @param {import("./live.js").Turn} turn
 * @param {boolean} isLast an open turn without text is shown only at the end
 */
function turnText(session, { text, final, sentences }, isLast) {
  if (final && sentences.length) {
    return sentences.map(
      ({ speaker, text: said }) => html`
        <div class="sentence" data-colour=${session.speakers.indexOf(speaker) % COLOURS}>
          <span class="speaker">${t("transcribe.speaker", { name: speaker })}</span>
          <p class="said">${said.trim()}</p>
        </div>
      `,
    );
  }
  return text || isLast ? html`<p class="said ${final ? "" : "coming"}">${text || "…"}</p>` : nothing;
}
