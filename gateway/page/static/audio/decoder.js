// @ts-check
/**
 * Decodes a file (MP3, Opus, AAC, FLAC, WAV) while it arrives. Browsers decode whole files only: what has arrived is
 * decoded as if it were the whole, and the samples that are new are passed on. So it waits with that until the file is
 * half as long again, which makes the work of a file that comes quickly three times that of the whole, or until the
 * playback needs more.
 */

import { joinBytes } from "./pcm.js";
import { audioContext } from "./player.js";

const MARGIN = 0.15; // seconds at the end of a part that the codec may still change
const GROWTH = 1.5;
const NEEDED = 1.5; // seconds that are to be there before they are played
const LONGEST_WAIT = 1; // seconds between two looks at the playback

export class FileDecoder {
  /**
   * @param {number} rate samples a second of the result
   * @param {(samples: Float32Array) => void} decoded
   * @param {() => number} [buffered] returns the seconds that are left to play
   */
  constructor(rate, decoded, buffered = () => 0) {
    this.rate = rate;
    this.#decoded = decoded;
    this.#buffered = buffered;
  }

  #decoded;
  #buffered;
  /** @type {Uint8Array[]} */
  #pieces = [];
  #bytes = 0;
  #seen = 0; // bytes that were decoded
  #known = 0; // samples that were passed on
  /** @type {Promise<void> | null} */
  #running = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #waiting;
  #finishing = false;

  /** Whether it decodes now. */
  get busy() {
    return this.#running !== null;
  }

  /** Add the next bytes of the file. @param {Uint8Array} bytes */
  push(bytes) {
    this.#pieces.push(bytes);
    this.#bytes += bytes.length;
    this.#consider();
  }

  /** Decode the rest. Raises an error if the file cannot be decoded. */
  async finish() {
    this.#finishing = true;
    clearTimeout(this.#waiting);
    await this.#running;
    await this.#decode(0);
  }

  /** Decode what is new, if that is due; else look again before the playback comes to its end. */
  #consider() {
    clearTimeout(this.#waiting);
    if (this.#running || this.#finishing || this.#seen === this.#bytes) return;
    const spare = this.#buffered() - NEEDED;
    if (this.#bytes < GROWTH * this.#seen && spare > 0) {
      this.#waiting = setTimeout(() => this.#consider(), Math.min(spare, LONGEST_WAIT) * 1000);
      return;
    }
    this.#seen = this.#bytes;
    this.#running = this.#decode(MARGIN)
      .catch(() => {}) // too short yet
      .finally(() => {
        this.#running = null;
        this.#consider();
      });
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
