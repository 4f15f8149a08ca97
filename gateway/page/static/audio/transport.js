// @ts-check
/** A player's controls: play and pause, the waveform as a slider to seek, and the time. Drawn again at each frame. */

import { html, render } from "../vendor/lit-html/lit-html.js";
import { clock, t } from "../i18n.js";
import { icon } from "../icons.js";
import { Waveform } from "./waveform.js";

const STEP = 2; // seconds of an arrow key

export class Transport {
  /**
   * @param {import("./player.js").Player} player
   * @param {{expected?: number, moved?: (seconds: number) => void}} [options] `expected`: as of `Waveform`; `moved`:
   *   called with the position at each frame while it plays, and after each change
   */
  constructor(player, { expected = 0, moved = () => {} } = {}) {
    this.player = player;
    this.moved = moved;
    this.element = document.createElement("div");
    this.element.className = "transport";
    this.#draw();
    const canvas = /** @type {HTMLCanvasElement} */ (this.element.querySelector("canvas"));
    this.waveform = new Waveform(canvas, { expected });
    this.waveform.rate = player.rate;
    this.waveform.push(player.samples());
    this.#changed = () => this.#tick();
    player.addEventListener("change", this.#changed);
    this.#tick();
  }

  #changed;
  #frame = 0;

  /** Show samples that the player got. @param {Float32Array} samples */
  push(samples) {
    this.waveform.rate = this.player.rate;
    this.waveform.push(samples);
  }

  /** Stop drawing. */
  close() {
    cancelAnimationFrame(this.#frame);
    this.player.removeEventListener("change", this.#changed);
    this.waveform.close();
  }

  #tick() {
    cancelAnimationFrame(this.#frame);
    const { player, waveform } = this;
    waveform.complete = player.complete;
    waveform.setPosition(player.position);
    this.#draw();
    this.moved(player.position);
    if (player.playing) this.#frame = requestAnimationFrame(() => this.#tick());
  }

  #draw() {
    const { player } = this;
    const times = `${clock(player.position)} / ${clock(player.duration)}`;
    render(
      html`
        <button
          type="button"
          class="button primary round"
          aria-label=${player.playing ? t("shell.pause") : t("shell.play")}
          title=${player.playing ? t("shell.pause") : t("shell.play")}
          ?disabled=${!player.duration}
          @click=${() => (player.playing ? player.pause() : player.play())}
        >
          ${icon(player.playing ? "pause" : "play")}
        </button>
        <div
          class="seek"
          role="slider"
          tabindex="0"
          aria-label=${t("shell.seek")}
          aria-valuemin="0"
          aria-valuemax=${Math.ceil(player.duration)}
          aria-valuenow=${Math.floor(player.position)}
          aria-valuetext=${times}
          @pointerdown=${(/** @type {PointerEvent} */ event) => player.seek(this.waveform.secondsAt(event.clientX))}
          @keydown=${(/** @type {KeyboardEvent} */ event) => this.#key(event)}
        >
          <canvas class="wave"></canvas>
        </div>
        <span class="times">${times}</span>
      `,
      this.element,
    );
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const { player } = this;
    const to = {
      ArrowRight: player.position + STEP,
      ArrowLeft: player.position - STEP,
      Home: 0,
      End: player.duration,
    }[event.key];
    if (to !== undefined) player.seek(to);
    else if (event.key === " ") player.playing ? player.pause() : player.play();
    else return;
    event.preventDefault();
  }
}
