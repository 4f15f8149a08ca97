// @ts-check
/**
 * Decodes a file (MP3, Opus, AAC, FLAC, WAV) while it arrives. Browsers decode whole files only: what has arrived is
 * decoded as if it were the whole, again and again, and the samples that are new are passed on.
 */

import { joinBytes } from "./pcm.js";
import { audioContext } from "./player.js";

const MARGIN = 0.15; // seconds at the end of a part that the codec may still change

export class FileDecoder {
  /** @param {number} rate samples a second of the result @param {(samples: Float32Array) => void} decoded */
  constructor(rate, decoded) {
    this.rate = rate;
    this.#decoded = decoded;
  }

  #decoded;
  /** @type {Uint8Array[]} */
  #pieces = [];
  #known = 0; // samples that were passed on
  /** @type {Promise<void> | null} */
  #running = null;
  #isStale = false;

  /** Add the next bytes of the file. @param {Uint8Array} bytes */
  push(bytes) {
    this.#pieces.push(bytes);
    this.#isStale = true;
    this.#running ??= this.#decodeWhileStale().finally(() => (this.#running = null));
  }

  /** Decode the rest. Raises an error if the file cannot be decoded. */
  async finish() {
    await this.#running;
    await this.#decode(0);
  }

  async #decodeWhileStale() {
    while (this.#isStale) {
      this.#isStale = false;
      await this.#decode(MARGIN).catch(() => {}); // too short yet
    }
  }

  /** @param {number} margin */
  async #decode(margin) {
    const bytes = joinBytes(this.#pieces);
    const buffer = await audioContext(this.rate).decodeAudioData(/** @type {ArrayBuffer} */ (bytes.buffer));
    const end = buffer.length - Math.round(margin * this.rate);
    if (end <= this.#known) return;
    this.#decoded(buffer.getChannelData(0).slice(this.#known, end));
    this.#known = end;
  }
}
