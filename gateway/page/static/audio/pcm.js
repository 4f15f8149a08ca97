// @ts-check
/** Samples in the forms that the server takes and sends: 16-bit little-endian PCM, base64, WAV. Mono throughout. */

/** Samples a second of live sessions, and of raw PCM from the server unless its header says otherwise. */
export const RATE = 24_000;

/** Return samples as floats from -1 to 1. @param {Int16Array} samples @returns {Float32Array} */
export function toFloats(samples) {
  return Float32Array.from(samples, (sample) => sample / 32768);
}

/** Return samples as 16-bit integers. @param {Float32Array} samples @returns {Int16Array} */
export function toIntegers(samples) {
  return Int16Array.from(samples, (sample) => Math.max(-1, Math.min(1, sample)) * 32767);
}

/** Return bytes in base64. @param {Uint8Array} bytes */
export function toBase64(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
}

/** Return the bytes of a text in base64. @param {string} text @returns {Uint8Array} */
export function fromBase64(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

/** Puts the bytes of a stream of PCM together to whole samples, wherever the stream is cut. */
export class PcmParser {
  /** @type {Uint8Array} */
  #rest = new Uint8Array(0);

  /** Return the samples that are complete with `bytes`. @param {Uint8Array} bytes @returns {Float32Array} */
  push(bytes) {
    const joined = joinBytes([this.#rest, bytes]);
    const whole = joined.length - (joined.length % 2);
    this.#rest = joined.slice(whole);
    return toFloats(new Int16Array(joined.buffer, 0, whole / 2));
  }
}

/** Return bytes in one piece. @param {Uint8Array[]} pieces @returns {Uint8Array} */
export function joinBytes(pieces) {
  const joined = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    joined.set(piece, at);
    at += piece.length;
  }
  return joined;
}

/** Return a WAV file. @param {Int16Array[]} pieces the samples @param {number} rate samples a second @returns {Blob} */
export function wavFile(pieces, rate) {
  const bytes = pieces.reduce((sum, piece) => sum + piece.byteLength, 0);
  const header = new DataView(new ArrayBuffer(44));
  const text = (/** @type {number} */ at, /** @type {string} */ letters) =>
    [...letters].forEach((letter, index) => header.setUint8(at + index, letter.charCodeAt(0)));
  text(0, "RIFF");
  header.setUint32(4, 36 + bytes, true);
  text(8, "WAVEfmt ");
  header.setUint32(16, 16, true);
  header.setUint16(20, 1, true);
  header.setUint16(22, 1, true);
  header.setUint32(24, rate, true);
  header.setUint32(28, 2 * rate, true);
  header.setUint16(32, 2, true);
  header.setUint16(34, 16, true);
  text(36, "data");
  header.setUint32(40, bytes, true);
  return new Blob([header, .../** @type {BlobPart[]} */ (pieces)], { type: "audio/wav" });
}
