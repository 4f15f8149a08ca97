// @ts-check
/** The microphone as 16-bit samples, and recordings of it. Browsers give it to pages on https and localhost only. */

import { RATE, wavFile } from "./pcm.js";

/** The microphone cannot be used. */
export class MicrophoneError extends Error {
  /** @param {"denied" | "missing" | "insecure" | "failed"} reason the text is `shell.microphone_REASON` */
  constructor(reason) {
    super(reason);
    this.reason = reason;
  }
}

/**
 * @typedef {object} Microphone
 * @property {() => void} stop ends it; the browser's sign for it goes out
 * @property {MediaStream} stream
 * @property {number} rate samples a second
 */

/**
 * Open the microphone. Raises `MicrophoneError`.
 * @param {(samples: Int16Array, level: number) => void} heard gets mono samples about every 40 ms, and their loudness
 *   from 0 to 1
 * @param {{rate?: number, processed?: boolean}} [options] `rate`: samples a second; `processed`: let the browser
 *   suppress noise and echo, as for a conversation
 * @returns {Promise<Microphone>}
 */
export async function openMicrophone(heard, { rate = RATE, processed = false } = {}) {
  if (!navigator.mediaDevices || !isSecureContext) throw new MicrophoneError("insecure");
  const audio = { echoCancellation: processed, noiseSuppression: processed, autoGainControl: processed, channelCount: 1 };
  const stream = await navigator.mediaDevices.getUserMedia({ audio }).catch(refused);
  /** @type {AudioContext | null} */
  let context = null;
  const close = () => {
    stream.getTracks().forEach((track) => track.stop());
    context?.close().catch(() => {});
  };
  try {
    context = new AudioContext();
    await context.audioWorklet.addModule(new URL("capture-worklet.js", import.meta.url));
    const node = new AudioWorkletNode(context, "capture", {
      numberOfOutputs: 0,
      channelCount: 1,
      channelCountMode: "explicit",
      processorOptions: { rate },
    });
    node.port.onmessage = ({ data }) => heard(data.samples, data.level);
    context.createMediaStreamSource(stream).connect(node);
    await context.resume();
    return { stop: close, stream, rate };
  } catch {
    close();
    throw new MicrophoneError("failed");
  }
}

/** A recording from the microphone. `level` is the loudness of the last 40 ms from 0 to 1. */
export class Recording {
  /** @param {(recording: Recording, samples: Int16Array) => void} [heard] called about every 40 ms */
  constructor(heard = () => {}) {
    /** @type {Int16Array[]} */
    this.pieces = [];
    this.level = 0;
    this.seconds = 0;
    this.#heard = heard;
  }

  #heard;
  /** @type {Microphone | null} */
  #microphone = null;

  /** Begin. Raises `MicrophoneError`. */
  async start() {
    this.#microphone = await openMicrophone((samples, level) => {
      this.pieces.push(samples);
      this.level = level;
      this.seconds += samples.length / RATE;
      this.#heard(this, samples);
    });
  }

  /** End, and return a WAV file. @returns {Blob} */
  stop() {
    this.cancel();
    return wavFile(this.pieces, RATE);
  }

  /** End without a file. */
  cancel() {
    this.#microphone?.stop();
    this.#microphone = null;
  }
}

/** @param {DOMException} error @returns {never} */
function refused(error) {
  if (error.name === "NotAllowedError" || error.name === "SecurityError") throw new MicrophoneError("denied");
  throw new MicrophoneError(error.name === "NotFoundError" ? "missing" : "failed");
}
