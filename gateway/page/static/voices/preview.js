// @ts-check
/** Speaks a sample of one voice at a time. */

import { isAbort } from "../api.js";

export class Preview {
  /** @param {import("../api.js").Api} api @param {() => void} changed */
  constructor(api, changed) {
    this.#api = api;
    this.#changed = changed;
    /** The voice that is fetched or heard; empty if none is. */
    this.voice = "";
    /** @type {"idle" | "loading" | "playing"} */
    this.state = "idle";
    /** @type {unknown} */
    this.error = null;
  }

  #api;
  #changed;
  #audio = new Audio();
  /** @type {AbortController | null} */
  #request = null;

  /**
   * Stop the voice if it is heard, else speak in it. @param {string} voice names it here
   * @param {string} path @param {any} body of the request for its speech
   */
  async toggle(voice, path, body) {
    const stop = this.voice === voice;
    this.stop();
    if (stop) return;
    const request = new AbortController();
    this.#request = request;
    this.voice = voice;
    this.state = "loading";
    this.error = null;
    this.#changed();
    try {
      const response = await this.#api.response(path, { json: { response_format: "wav", ...body }, signal: request.signal });
      const speech = await response.blob();
      if (this.#request !== request) return;
      this.#audio.src = URL.createObjectURL(speech);
      this.#audio.onended = () => this.stop();
      await this.#audio.play();
      this.state = "playing";
    } catch (error) {
      if (isAbort(error) || this.#request !== request) return;
      this.stop();
      this.error = error;
    }
    this.#changed();
  }

  /** Be silent. */
  stop() {
    this.#request?.abort();
    this.#request = null;
    this.#audio.pause();
    if (this.#audio.src) URL.revokeObjectURL(this.#audio.src);
    this.#audio.removeAttribute("src");
    this.voice = "";
    this.state = "idle";
    this.#changed();
  }
}
