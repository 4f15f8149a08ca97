// @ts-check
/** A conversation over OpenAI's Realtime protocol: its events, its messages, and its turns. */

import { fromBase64, toBase64, toFloats } from "../audio/pcm.js";

const CONTENT = 0; // the index of a message's only part

/**
 * @typedef {object} Message
 * @property {string} id
 * @property {"user" | "assistant"} role
 * @property {string} text
 * @property {"growing" | "done" | "interrupted" | "failed"} state
 */

/** @typedef {"connecting" | "listening" | "hearing" | "thinking" | "speaking" | "closed"} State */

export class Conversation {
  /**
   * @param {WebSocket} socket which need not be open yet
   * @param {{add: (item: string, samples: Float32Array) => void, playing: boolean,
   *   stop: () => {item: string, milliseconds: number}[]}} speaker
   * @param {any} session its configuration
   * @param {{changed: () => void, failed: (error: {message: string, code?: string}) => void}} calls `changed`: the state
   *   or a message has changed; `failed`: an error of the server, after which the conversation may go on
   */
  constructor(socket, speaker, session, { changed, failed }) {
    this.#socket = socket;
    this.#speaker = speaker;
    this.#session = session;
    this.#changed = changed;
    this.#failed = failed;
    /** @type {State} */
    this.state = "connecting";
    /** @type {Message[]} in the order in which they began */
    this.messages = [];
    socket.addEventListener("message", ({ data }) => this.#receive(JSON.parse(data)));
  }

  #socket;
  #speaker;
  #session;
  #changed;
  #failed;
  #ready = false; // whether the server has the configuration
  #responding = false; // whether the server makes an answer
  #owed = false; // whether a typed message waits for an answer
  /** @type {Set<string>} items that were interrupted: what comes of them later is not played */
  #cut = new Set();

  /** Send samples of the microphone, 24 kHz. @param {Int16Array} samples */
  hear(samples) {
    if (!this.#ready) return;
    const audio = toBase64(new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength));
    this.#send({ type: "input_audio_buffer.append", audio });
  }

  /** Send a typed message, which interrupts an answer. @param {string} text */
  write(text) {
    this.interrupt();
    const item = { type: "message", role: "user", content: [{ type: "input_text", text }] };
    this.#send({ type: "conversation.item.create", item });
    this.#owed = this.#responding; // an answer begins when the one before has ended
    if (!this.#owed) this.#send({ type: "response.create" });
    this.#become("thinking");
  }

  /** End the answer here. */
  interrupt() {
    if (this.#responding) this.#send({ type: "response.cancel" });
    this.#silence();
    if (this.state === "speaking") this.#become("listening");
  }

  /** Call it when everything that the speaker got was heard. */
  heard() {
    if (this.state === "speaking") this.#become(this.#responding ? "thinking" : "listening");
  }

  /** End the conversation. */
  close() {
    this.#speaker.stop();
    this.state = "closed";
    this.#socket.close();
    this.#changed();
  }

  /** Stop the speech at once, and tell the server how much of it was heard. */
  #silence() {
    for (const { item, milliseconds } of this.#speaker.stop()) {
      this.#cut.add(item);
      this.#send({
        type: "conversation.item.truncate",
        item_id: item,
        content_index: CONTENT,
        audio_end_ms: milliseconds,
      });
      this.#update(item, { state: "interrupted" });
    }
  }

  /** @param {any} event */
  #send(event) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(event));
  }

  /** @param {State} state */
  #become(state) {
    if (this.state === "closed") return;
    this.state = state;
    this.#changed();
  }

  /** @param {any} event */
  #receive(event) {
    if (this.state === "closed") return;
    switch (event.type) {
      case "session.created":
        return this.#send({ type: "session.update", session: this.#session });
      case "session.updated":
        this.#ready = true;
        return this.state === "connecting" && this.#become("listening");
      case "input_audio_buffer.speech_started":
        this.#silence();
        this.#update(event.item_id, { role: "user" });
        return this.#become("hearing");
      case "input_audio_buffer.speech_stopped":
        return this.#become("thinking");
      case "conversation.item.added":
        return this.#add(event.item);
      case "conversation.item.input_audio_transcription.delta":
        return this.#grow(event.item_id, event.delta);
      case "conversation.item.input_audio_transcription.completed":
        return this.#update(event.item_id, { role: "user", text: event.transcript.trim(), state: "done" });
      case "conversation.item.input_audio_transcription.failed":
        this.#update(event.item_id, { role: "user", state: "failed" });
        return this.#fail(event.error);
      case "response.created":
        this.#responding = true;
        return this.state !== "hearing" && this.#become("thinking");
      case "conversation.item.truncated":
        // OpenAI's servers do not tell which words were heard.
        return event.transcript !== undefined && this.#update(event.item_id, { text: event.transcript });
      case "response.output_audio_transcript.delta":
      case "response.output_text.delta":
        return this.#grow(event.item_id, event.delta);
      case "response.output_audio.delta":
        return this.#speak(event.item_id, event.delta);
      case "response.done":
        return this.#finish(event.response);
      case "error": // an answer may have ended before the request to cancel it has arrived
        return event.error.code !== "response_cancel_not_active" && this.#fail(event.error);
    }
  }

  /** @param {string} item @param {string} audio in base64 */
  #speak(item, audio) {
    if (this.#cut.has(item)) return;
    const bytes = fromBase64(audio);
    this.#speaker.add(item, toFloats(new Int16Array(bytes.buffer, 0, bytes.length >> 1)));
    if (this.state !== "speaking") this.#become("speaking");
  }

  /** @param {any} response */
  #finish(response) {
    this.#responding = false;
    if (this.#owed) this.#send({ type: "response.create" });
    const state = response.status === "completed" ? "done" : "interrupted";
    for (const { id } of response.output ?? []) if (this.#find(id)?.state === "growing") this.#update(id, { state });
    const error = response.status_details?.error;
    if (response.status === "failed") this.#fail({ ...error, message: error?.message ?? response.status });
    if (this.#owed) this.#owed = false;
    else if (this.state === "thinking" || (this.state === "speaking" && !this.#speaker.playing)) this.#become("listening");
  }

  /** @param {{message: string, code?: string}} error */
  #fail(error) {
    this.#failed(error);
    this.#changed();
  }

  /** @param {string} id */
  #find(id) {
    return this.messages.find((message) => message.id === id);
  }

  /** @param {any} item */
  #add(item) {
    if (item.type !== "message" || item.role === "system") return;
    const text = (item.content ?? []).map((/** @type {any} */ part) => part.text ?? part.transcript ?? "").join("");
    this.#update(item.id, { role: item.role, ...(text ? { text } : {}), ...(text && item.role === "user" ? { state: "done" } : {}) });
  }

  /** @param {string} id @param {string} more */
  #grow(id, more) {
    this.#update(id, { text: (this.#find(id)?.text ?? "") + more });
  }

  /** @param {string} id @param {Partial<Message>} changes */
  #update(id, changes) {
    let message = this.#find(id);
    if (!message) {
      message = { id, role: "assistant", text: "", state: "growing" };
      this.messages.push(message);
    }
    Object.assign(message, changes);
    this.#changed();
  }
}
