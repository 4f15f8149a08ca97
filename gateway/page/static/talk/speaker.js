// @ts-check
/** Plays the speech of a conversation as it comes, and knows how much of each item was heard. */

const AHEAD = 0.06; // seconds from the first samples to their sound, so that the next ones are there in time

/** @typedef {{item: string, source: AudioBufferSourceNode, at: number, seconds: number, over: boolean}} Piece */

export class Speaker {
  /** @param {AudioContext} context @param {() => void} ended called when all that was added has been heard */
  constructor(context, ended) {
    this.#context = context;
    this.#ended = ended;
  }

  #context;
  #ended;
  /** @type {Piece[]} in the order of their sound, since the speaker was last silent */
  #pieces = [];
  #next = 0; // time of the context at which the next piece sounds

  get playing() {
    return this.#pieces.some((piece) => !piece.over);
  }

  /** Play more of an item after everything that was added. @param {string} item @param {Float32Array} samples */
  add(item, samples) {
    if (!samples.length) return;
    const buffer = this.#context.createBuffer(1, samples.length, this.#context.sampleRate);
    buffer.copyToChannel(/** @type {Float32Array<ArrayBuffer>} */ (samples), 0);
    const source = this.#context.createBufferSource();
    source.buffer = buffer;
    source.connect(this.#context.destination);
    const earliest = this.#context.currentTime;
    const at = this.#next > earliest ? this.#next : earliest + AHEAD;
    const piece = { item, source, at, seconds: buffer.duration, over: false };
    source.onended = () => {
      piece.over = true;
      if (this.playing) return;
      this.#reset();
      this.#ended();
    };
    source.start(at);
    this.#next = at + buffer.duration;
    this.#pieces.push(piece);
  }

  /**
   * Be silent at once. Return the items that were not heard to their end, with the milliseconds that were.
   * @returns {{item: string, milliseconds: number}[]}
   */
  stop() {
    const now = this.#context.currentTime - (this.#context.outputLatency || 0);
    const cut = new Set(this.#pieces.filter((piece) => !piece.over).map((piece) => piece.item));
    const heard = new Map([...cut].map((item) => [item, 0]));
    for (const { item, at, seconds, source } of this.#pieces) {
      if (cut.has(item)) heard.set(item, (heard.get(item) ?? 0) + Math.max(0, Math.min(seconds, now - at)));
      source.onended = null;
      source.stop();
      source.disconnect();
    }
    this.#reset();
    return [...heard].map(([item, seconds]) => ({ item, milliseconds: Math.floor(1000 * seconds) }));
  }

  #reset() {
    this.#pieces = [];
    this.#next = 0;
  }
}
