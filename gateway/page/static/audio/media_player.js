// @ts-check
/** Plays a file of the user by the browser's own player, with the interface of `Player`, so long files need no memory. */

import { RATE } from "./pcm.js";
import { audioContext } from "./player.js";

const MOST_BYTES = 40e6; // of a file whose waveform is drawn; it is decoded as a whole for that

export class MediaPlayer extends EventTarget {
  /** @param {Blob} file */
  constructor(file) {
    super();
    this.file = file;
    this.rate = RATE;
    this.complete = true;
    /** Whether the browser cannot play the file. */
    this.failed = false;
    this.#url = URL.createObjectURL(file);
    this.#audio = new Audio(this.#url);
    this.#audio.preload = "auto";
    for (const name of ["play", "pause", "seeked", "durationchange"]) {
      this.#audio.addEventListener(name, () => this.dispatchEvent(new Event("change")));
    }
    this.#audio.addEventListener("ended", () => this.dispatchEvent(new Event("end")));
    this.#audio.addEventListener("error", () => {
      this.failed = true;
      this.dispatchEvent(new Event("change"));
    });
  }

  #url;
  #audio;

  get duration() {
    return Number.isFinite(this.#audio.duration) ? this.#audio.duration : 0;
  }

  get position() {
    return this.#audio.currentTime;
  }

  get playing() {
    return !this.#audio.paused && !this.#audio.ended;
  }

  /** @returns {Float32Array} none: see `waveSamples` */
  samples() {
    return new Float32Array(0);
  }

  /** @param {number} [from] */
  play(from) {
    if (from !== undefined) this.#audio.currentTime = from;
    this.#audio.play().catch(() => {}); // an error has its own event
  }

  pause() {
    this.#audio.pause();
  }

  /** @param {number} seconds */
  seek(seconds) {
    this.#audio.currentTime = Math.max(0, Math.min(seconds, this.duration));
  }

  /** Return the samples for a waveform; none of a long file, or of one that the browser cannot decode. */
  async waveSamples() {
    if (this.file.size > MOST_BYTES) return new Float32Array(0);
    try {
      const buffer = await audioContext(this.rate).decodeAudioData(await this.file.arrayBuffer());
      return buffer.getChannelData(0);
    } catch {
      return new Float32Array(0);
    }
  }

  /** Let go of the file. */
  close() {
    this.#audio.pause();
    this.#audio.removeAttribute("src");
    URL.revokeObjectURL(this.#url);
  }
}
