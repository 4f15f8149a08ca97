// @ts-check
/**
 * Plays samples while they arrive. It schedules buffers of Web Audio instead of running a worklet, because worklets
 * exist only on https and localhost, and this page is also opened at a server's address in the local network.
 */

import { RATE } from "./pcm.js";

const AHEAD = 0.06; // seconds from a start or a gap in the stream to the next sound, so that no buffer is late

/** @type {Map<number, AudioContext>} */
const contexts = new Map();

/**
 * Return the page's audio context of a rate, in which buffers of that rate join without a seam. A click must have
 * happened before it makes a sound.
 * @param {number} [rate] samples a second @returns {AudioContext}
 */
export function audioContext(rate = RATE) {
  const context = contexts.get(rate) ?? new AudioContext({ sampleRate: rate });
  contexts.set(rate, context);
  if (context.state === "suspended") context.resume().catch(() => {});
  return context;
}

/**
 * A recording that may still grow. Events: `change` when it starts, pauses, or grows, and `end` after its last sample.
 * Times are in seconds from the start of the recording.
 */
export class Player extends EventTarget {
  /** @param {number} rate samples a second */
  constructor(rate) {
    super();
    this.rate = rate;
    /** Whether all samples are there. */
    this.complete = false;
    /** Whether it plays, or waits for the next samples. */
    this.playing = false;
    this.#position = 0;
  }

  /** @type {Float32Array[]} */
  #pieces = [];
  #samples = 0;
  #position; // where it starts next; while it plays, what is sounding is in #scheduled
  /** @type {{source: AudioBufferSourceNode, at: number, position: number, duration: number}[]} */
  #scheduled = [];
  #next = 0; // time of the context at which the next buffer sounds
  #index = 0; // the piece to schedule next

  /** Seconds that are there. */
  get duration() {
    return this.#samples / this.rate;
  }

  /** What is sounding now. */
  get position() {
    if (!this.playing) return this.#position;
    const now = audioContext(this.rate).currentTime;
    let position = this.#position;
    for (const { at, position: start, duration } of this.#scheduled) {
      if (at > now) break;
      position = start + Math.min(duration, now - at);
    }
    return position;
  }

  /** All samples in one piece. @returns {Float32Array} */
  samples() {
    const joined = new Float32Array(this.#samples);
    let at = 0;
    for (const piece of this.#pieces) {
      joined.set(piece, at);
      at += piece.length;
    }
    return joined;
  }

  /** Add samples. @param {Float32Array} samples */
  push(samples) {
    if (!samples.length) return;
    this.#pieces.push(samples);
    this.#samples += samples.length;
    if (this.playing) this.#schedule();
    this.#changed();
  }

  /** Say that no more samples come. */
  finish() {
    this.complete = true;
    if (this.playing && !this.#scheduled.length && this.#index >= this.#pieces.length) this.#ended();
    this.#changed();
  }

  /** Play from a time, or from where it stands; at its end, from the start. @param {number} [from] */
  play(from) {
    const start = from ?? (this.complete && this.#position >= this.duration - 0.01 ? 0 : this.position);
    this.#silence();
    this.#position = Math.max(0, Math.min(start, this.duration));
    this.playing = true;
    this.#next = audioContext(this.rate).currentTime + AHEAD;
    this.#seekPiece();
    this.#schedule();
    this.#changed();
  }

  /** Pause; `play` goes on from here. */
  pause() {
    this.#position = this.position;
    this.playing = false;
    this.#silence();
    this.#changed();
  }

  /** Go to a time, and play on if it plays. @param {number} seconds */
  seek(seconds) {
    if (this.playing) this.play(seconds);
    else {
      this.#position = Math.max(0, Math.min(seconds, this.duration));
      this.#changed();
    }
  }

  /** Take the piece at the position next; a piece that begins before it is cut there. */
  #seekPiece() {
    let at = Math.round(this.#position * this.rate);
    this.#index = 0;
    while (this.#index < this.#pieces.length && at >= this.#pieces[this.#index].length) {
      at -= this.#pieces[this.#index].length;
      this.#index += 1;
    }
    if (at > 0 && this.#index < this.#pieces.length) {
      const piece = this.#pieces[this.#index];
      this.#pieces.splice(this.#index, 1, piece.subarray(0, at), piece.subarray(at));
      this.#index += 1;
    }
  }

  #schedule() {
    const context = audioContext(this.rate);
    let start = this.#pieces.slice(0, this.#index).reduce((sum, piece) => sum + piece.length, 0) / this.rate;
    if (this.#next < context.currentTime) this.#next = context.currentTime + AHEAD; // the stream was late
    for (; this.#index < this.#pieces.length; this.#index += 1) {
      const piece = this.#pieces[this.#index];
      const buffer = context.createBuffer(1, piece.length, this.rate);
      buffer.copyToChannel(/** @type {Float32Array<ArrayBuffer>} */ (piece), 0);
      const source = context.createBufferSource();
      source.buffer = buffer;
      source.connect(context.destination);
      source.start(this.#next);
      const entry = { source, at: this.#next, position: start, duration: buffer.duration };
      source.onended = () => this.#played(entry);
      this.#scheduled.push(entry);
      this.#next += buffer.duration;
      start += buffer.duration;
    }
    if (this.complete && !this.#scheduled.length) this.#ended();
  }

  /** @param {{position: number, duration: number}} entry */
  #played(entry) {
    this.#position = entry.position + entry.duration;
    this.#scheduled.shift();
    if (this.complete && !this.#scheduled.length && this.#index >= this.#pieces.length) this.#ended();
  }

  #ended() {
    this.playing = false;
    this.#position = this.duration;
    this.#changed();
    this.dispatchEvent(new Event("end"));
  }

  #silence() {
    for (const { source } of this.#scheduled.splice(0)) {
      source.onended = null;
      source.stop();
      source.disconnect();
    }
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
