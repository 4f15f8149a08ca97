// @ts-check
/** Live transcription: the microphone to the server, its text back while the user speaks. */

import { errorOf, ApiError } from "../api.js";
import { openMicrophone } from "../audio/microphone.js";
import { toBase64, toFloats } from "../audio/pcm.js";

const LAST_WORDS = 15_000; // milliseconds to wait for the end of the text after a stop

/** The model that names the speaker of each sentence, as OpenAI calls it; the server has another one do the work. */
const WITH_SPEAKERS = "gpt-4o-transcribe-diarize";

/** @typedef {{speaker: string, text: string}} Sentence */
/** @typedef {{id: string, text: string, final: boolean, sentences: Sentence[]}} Turn `sentences`: with their speakers */

/** Events: `change`, and `samples` with the microphone's samples in `detail`. */
export class LiveSession extends EventTarget {
  /** @param {{model: string, language: string, prompt: string, speakers: boolean}} wishes */
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
    const lines = this.turns.flatMap(({ text, sentences }) =>
      sentences.length ? sentences.map((sentence) => `${sentence.speaker}: ${sentence.text.trim()}`) : [text.trim()],
    );
    return lines.join("\n");
  }

  /** Speakers in the order of their first words. */
  get speakers() {
    return [...new Set(this.turns.flatMap(({ sentences }) => sentences.map(({ speaker }) => speaker)))];
  }

  /** Begin. An error ends the session, and stands in `error`. @param {import("../api.js").Api} api */
  async start(api) {
    try {
      this.#microphone = await openMicrophone((samples) => this.#send(samples));
      if (this.state !== "opening") return this.#end(); // stopped meanwhile
      const { model, language, prompt, speakers } = this.wishes;
      const transcription = {
        model: speakers ? WITH_SPEAKERS : model,
        delay: "low",
        ...(language ? { language } : {}),
        ...(prompt ? { prompt } : {}),
      };
      this.#socket = await api.liveSocket({ type: "transcription", audio: { input: { transcription } } });
      if (this.state !== "opening") return this.#end();
      this.#socket.onmessage = ({ data }) => this.#take(JSON.parse(data));
      this.#socket.onclose = () => this.#end(this.state === "ended" ? null : new ApiError("", { code: "unreachable" }));
    } catch (error) {
      this.#end(this.state === "opening" ? error : null);
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
      case "conversation.item.input_audio_transcription.segment":
        this.#turn(event.item_id).sentences.push(event);
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
    this.turns.push({ id, text: "", final: false, sentences: [] });
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
