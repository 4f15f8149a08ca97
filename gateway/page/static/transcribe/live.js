// @ts-check
/** Live transcription: the microphone to the server, its text back while the user speaks. */

import { errorOf, ApiError } from "../api.js";
import { openMicrophone } from "../audio/microphone.js";
import { toBase64, toFloats } from "../audio/pcm.js";

const LAST_WORDS = 15_000; // milliseconds to wait for the end of the text after a stop

/** @typedef {{id: string, text: string, final: boolean}} Turn */

/** Events: `change`, and `samples` with the microphone's samples in `detail`. */
export class LiveSession extends EventTarget {
  /** @param {{model: string, language: string, prompt: string}} wishes */
  constructor(wishes) {
    super();
    this.wishes = wishes;
    /** @type {"opening" | "listening" | "ending" | "ended"} */
    this.state = "opening";
    /** @type {unknown} */
    this.error = null;
    /** @type {Turn[]} */
    this.turns = [];
    this.seconds = 0;
    /** Whether speech is being heard. */
    this.speaking = false;
  }

  /** @type {import("../audio/microphone.js").Microphone | null} */
  #microphone = null;
  /** @type {WebSocket | null} */
  #socket = null;
  #deadline = 0;

  /** The whole text so far. */
  get text() {
    return this.turns.map(({ text }) => text.trim()).join("\n");
  }

  /** Begin. An error ends the session, and stands in `error`. @param {import("../api.js").Api} api */
  async start(api) {
    try {
      this.#microphone = await openMicrophone((samples) => this.#send(samples));
      const { model, language, prompt } = this.wishes;
      this.#socket = await api.liveSocket({
        type: "transcription",
        audio: { input: { transcription: { model, ...(language ? { language } : {}), ...(prompt ? { prompt } : {}) } } },
      });
      if (this.state !== "opening") return this.#end(); // stopped meanwhile
      this.#socket.onmessage = ({ data }) => this.#take(JSON.parse(data));
      this.#socket.onclose = () => this.#end(this.state === "ended" ? null : new ApiError("", { code: "unreachable" }));
    } catch (error) {
      this.#end(error);
    }
  }

  /** Stop listening; the text of what was said still arrives. */
  stop() {
    this.#microphone?.stop();
    if (this.state !== "listening" || !this.#pending()) return this.#end();
    this.#set("ending");
    if (this.speaking) this.#socket?.send(JSON.stringify({ type: "input_audio_buffer.commit" }));
    this.#deadline = setTimeout(() => this.#end(), LAST_WORDS);
  }

  #pending() {
    return this.speaking || this.turns.some(({ final }) => !final);
  }

  /** @param {Int16Array} samples */
  #send(samples) {
    if (this.state === "listening") {
      this.seconds += samples.length / (this.#microphone?.rate ?? 24_000);
      const audio = toBase64(new Uint8Array(samples.buffer));
      this.#socket?.send(JSON.stringify({ type: "input_audio_buffer.append", audio }));
    }
    this.dispatchEvent(new CustomEvent("samples", { detail: toFloats(samples) }));
  }

  /** @param {any} event */
  #take(event) {
    switch (event.type) {
      case "session.created":
        if (this.state === "opening") this.#set("listening");
        return;
      case "input_audio_buffer.speech_started":
        this.speaking = true;
        this.#turn(event.item_id);
        break;
      case "input_audio_buffer.speech_stopped":
      case "input_audio_buffer.committed":
        this.speaking = false;
        break;
      case "conversation.item.input_audio_transcription.delta":
        this.#turn(event.item_id).text += event.delta;
        break;
      case "conversation.item.input_audio_transcription.completed":
        Object.assign(this.#turn(event.item_id), { text: event.transcript, final: true });
        break;
      case "conversation.item.input_audio_transcription.failed":
        this.#turn(event.item_id).final = true;
        this.error = errorOf(event);
        break;
      case "error":
        // A commit without speech is no fault of the user.
        if (this.state !== "ending") this.error = errorOf(event);
        break;
      default:
        return;
    }
    this.turns = this.turns.filter(({ text, final }) => text.trim() || !final);
    if (this.state === "ending" && !this.#pending()) this.#end();
    else this.dispatchEvent(new Event("change"));
  }

  /** @param {string} id @returns {Turn} */
  #turn(id) {
    const found = this.turns.find((turn) => turn.id === id);
    if (found) return found;
    this.turns.push({ id, text: "", final: false });
    return this.turns[this.turns.length - 1];
  }

  /** @param {unknown} [error] */
  #end(error = null) {
    clearTimeout(this.#deadline);
    this.#microphone?.stop();
    this.error ??= error;
    this.turns = this.turns.filter(({ text }) => text.trim());
    this.#set("ended");
    this.#socket?.close();
  }

  /** @param {LiveSession["state"]} state */
  #set(state) {
    this.state = state;
    this.dispatchEvent(new Event("change"));
  }
}
