// @ts-check
/** A waveform on a canvas, which grows with its samples: bars of the loudness, those that were played in the accent. */

import { onColours } from "../theme.js";

const BAR = 3; // CSS pixels
const GAP = 2;
const BLOCK = 240; // samples that one peak stands for

export class Waveform {
  /**
   * @param {HTMLCanvasElement} canvas its size is given by the style sheet
   * @param {{expected?: number, rolling?: number}} [options] `expected`: seconds that fill the width while the audio is
   *   made; `rolling`: only so many seconds are shown, the last ones, all in the accent
   */
  constructor(canvas, { expected = 0, rolling = 0 } = {}) {
    this.canvas = canvas;
    this.expected = expected || rolling;
    this.rolling = rolling;
    /** @type {number[]} */
    this.peaks = [];
    this.rate = 24_000;
    this.position = 0;
    /** Whether all samples are there; until then the width stands for at least `expected` seconds. */
    this.complete = false;
    this.#rest = { peak: 0, count: 0 };
    this.#observer = new ResizeObserver(() => this.draw());
    this.#observer.observe(canvas);
    this.#forget = onColours(() => this.draw());
  }

  #rest;
  #observer;
  #forget;
  #frame = 0;

  /** Seconds of the samples. */
  get seconds() {
    return ((this.peaks.length + this.#rest.count / BLOCK) * BLOCK) / this.rate;
  }

  /** Add samples. @param {Float32Array} samples */
  push(samples) {
    const rest = this.#rest;
    for (const sample of samples) {
      rest.peak = Math.max(rest.peak, Math.abs(sample));
      if (++rest.count === BLOCK) {
        this.peaks.push(rest.peak);
        rest.peak = rest.count = 0;
      }
    }
    if (this.rolling) {
      this.peaks.splice(0, this.peaks.length - Math.ceil((this.rolling * this.rate) / BLOCK));
      this.position = this.rolling;
    }
    this.draw();
  }

  /** Show which part was played. @param {number} seconds */
  setPosition(seconds) {
    this.position = seconds;
    this.draw();
  }

  /** Return the seconds below a place on the canvas. @param {number} clientX as of a pointer's event */
  secondsAt(clientX) {
    const box = this.canvas.getBoundingClientRect();
    return Math.max(0, Math.min(1, (clientX - box.left) / box.width)) * this.#span();
  }

  /** Draw at the next frame. */
  draw() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#drawNow();
    });
  }

  /** Stop watching the canvas. */
  close() {
    cancelAnimationFrame(this.#frame);
    this.#observer.disconnect();
    this.#forget();
  }

  #span() {
    return this.complete ? this.seconds : Math.max(this.seconds, this.expected);
  }

  #drawNow() {
    const { canvas } = this;
    const { width, height } = canvas.getBoundingClientRect();
    const context = canvas.getContext("2d");
    if (!context || !width) return;
    canvas.width = Math.round(width * devicePixelRatio);
    canvas.height = Math.round(height * devicePixelRatio);
    context.scale(devicePixelRatio, devicePixelRatio);
    const style = getComputedStyle(canvas);
    const [accent, quiet] = [style.getPropertyValue("--accent"), style.getPropertyValue("--wave")];
    const bars = Math.max(1, Math.floor(width / (BAR + GAP)));
    const seconds = this.#span();
    const perBar = (seconds * this.rate) / BLOCK / bars;
    for (let bar = 0; bar < bars; bar += 1) {
      const from = Math.floor(bar * perBar);
      const to = Math.max(from + 1, Math.floor((bar + 1) * perBar));
      let peak = 0;
      for (let index = from; index < Math.min(to, this.peaks.length); index += 1) peak = Math.max(peak, this.peaks[index]);
      const known = from < this.peaks.length;
      const length = known ? Math.max(BAR, Math.sqrt(peak) * height * 0.95) : BAR;
      context.globalAlpha = known ? 1 : 0.4;
      context.fillStyle = known && ((bar + 0.5) / bars) * seconds <= this.position ? accent : quiet;
      context.beginPath();
      context.roundRect(bar * (BAR + GAP), (height - length) / 2, BAR, length, BAR / 2);
      context.fill();
    }
  }
}
