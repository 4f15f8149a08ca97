// @ts-check
/** The view of conversation: a button to talk, the transcript of both sides, and a line to type in. */

import { html, nothing, render } from "../vendor/lit-html/lit-html.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { ApiError } from "../api.js";
import { MicrophoneError, openMicrophone } from "../audio/microphone.js";
import { RATE } from "../audio/pcm.js";
import { audioContext } from "../audio/player.js";
import { readChoices } from "../choices.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { errorBox, errorText, loading } from "../ui.js";
import { Conversation } from "../talk/conversation.js";
import { readSettings, sessionOf, settingsForm } from "../talk/settings.js";
import { Speaker } from "../talk/speaker.js";

/** @typedef {import("../talk/conversation.js").Message} Message */

/** @type {import("../main.js").Mount} */
export function mount(element, app) {
  const view = new TalkView(element, app);
  view.load();
  return () => view.close();
}

class TalkView {
  /** @param {HTMLElement} element @param {import("../main.js").App} app */
  constructor(element, app) {
    this.#element = element;
    this.#app = app;
  }

  #element;
  #app;
  #settings = readSettings();
  /** @type {import("../choices.js").Choices | null} */
  #choices = null;
  /** @type {Conversation | null} the one that goes on, or the last one */
  #conversation = null;
  /** @type {import("../audio/microphone.js").Microphone | null} */
  #microphone = null;
  #muted = false;
  #starting = false;
  /** @type {unknown} */
  #error = null;
  /** @type {MicrophoneError | null} */
  #deaf = null; // why there is no microphone
  #closed = false;
  #turn = 0;

  async load() {
    this.#error = null;
    this.#draw();
    try {
      this.#choices = await readChoices(this.#app.api);
    } catch (error) {
      this.#error = error;
    }
    this.#draw();
  }

  close() {
    this.#closed = true;
    this.#end();
  }

  get #state() {
    if (this.#starting) return "connecting";
    const state = this.#conversation?.state ?? "closed";
    return state === "listening" && (this.#muted || !this.#microphone) ? "muted" : state;
  }

  async #start() {
    const turn = ++this.#turn;
    const choices = /** @type {import("../choices.js").Choices} */ (this.#choices);
    const context = audioContext(RATE); // in the click, or it would be silent
    this.#starting = true;
    this.#muted = false;
    this.#error = this.#deaf = null;
    this.#draw();
    try {
      const socket = await this.#app.api.liveSocket({ type: "realtime" });
      if (turn !== this.#turn) return socket.close();
      const speaker = new Speaker(context, () => conversation.heard());
      const conversation = new Conversation(socket, speaker, sessionOf(this.#settings, choices), {
        changed: () => this.#changed(conversation),
        failed: (error) => {
          this.#error = new ApiError(error.message, { status: 500, code: error.code });
        },
      });
      this.#conversation = conversation;
      socket.addEventListener("close", () => this.#lost(conversation));
      await this.#listen(conversation, turn);
    } catch (error) {
      if (turn === this.#turn) this.#error = error;
    }
    if (turn !== this.#turn) return;
    this.#starting = false;
    this.#draw();
  }

  /** Open the microphone; without one, the user can type. @param {Conversation} conversation @param {number} turn */
  async #listen(conversation, turn) {
    /** @param {Int16Array} samples @param {number} level */
    const heard = (samples, level) => {
      if (this.#muted) samples.fill(0); // silence ends a turn, a gap in the stream would not
      conversation.hear(samples);
      const button = /** @type {HTMLElement | null} */ (this.#element.querySelector(".talk-button"));
      button?.style.setProperty("--level", String(this.#muted ? 0 : Math.min(1, Math.sqrt(level))));
    };
    try {
      const microphone = await openMicrophone(heard, { processed: true });
      if (turn !== this.#turn || conversation.state === "closed") microphone.stop();
      else this.#microphone = microphone;
    } catch (error) {
      if (!(error instanceof MicrophoneError)) throw error;
      this.#deaf = error;
    }
  }

  /** @param {Conversation} conversation */
  #changed(conversation) {
    if (conversation !== this.#conversation) return;
    this.#draw();
    const log = this.#element.querySelector(".log");
    log?.scrollTo({ top: log.scrollHeight });
  }

  /** The connection has ended. @param {Conversation} conversation */
  #lost(conversation) {
    if (conversation !== this.#conversation || conversation.state === "closed") return;
    this.#error ??= new ApiError(t("talk.lost"), { status: 500 });
    this.#end();
  }

  #end() {
    this.#turn += 1;
    this.#starting = false;
    this.#microphone?.stop();
    this.#microphone = null;
    if (this.#conversation && this.#conversation.state !== "closed") this.#conversation.close();
    this.#draw();
  }

  #draw() {
    if (!this.#closed) render(this.#template(), this.#element);
  }

  #template() {
    const choices = this.#choices;
    return html`
      <div class="head"><h1>${t("talk.title")}</h1><p class="muted">${t("talk.lead")}</p></div>
      ${choices ? this.#stage() : this.#error ? errorBox(this.#error, () => this.load()) : loading()}
      ${choices
        ? settingsForm(this.#settings, choices, { changed: () => this.#draw(), fixed: this.#state !== "closed" })
        : nothing}
    `;
  }

  #stage() {
    const state = this.#state;
    const on = state !== "closed";
    return html`
      <section class="card stage ${state}" data-state=${state}>
        ${this.#log()}
        <div class="controls">
          <button
            type="button"
            class="button round"
            data-act="mute"
            aria-pressed=${this.#muted ? "true" : "false"}
            aria-label=${t("talk.mute")}
            title=${t("talk.mute")}
            ?disabled=${!on || !this.#microphone}
            @click=${() => {
              this.#muted = !this.#muted;
              this.#draw();
            }}
          >
            ${icon("microphone")}
          </button>
          <button
            type="button"
            class="talk-button"
            data-act="talk"
            aria-label=${on ? t("talk.end") : t("talk.start")}
            @click=${() => (on ? this.#end() : this.#start())}
          >
            ${icon(on ? "stop" : "microphone")}
          </button>
          <button
            type="button"
            class="button round"
            data-act="interrupt"
            aria-label=${t("talk.interrupt")}
            title=${t("talk.interrupt")}
            ?disabled=${state !== "speaking"}
            @click=${() => this.#conversation?.interrupt()}
          >
            ${icon("pause")}
          </button>
        </div>
        <p class="state" role="status">${t(`talk.state_${state}`)}</p>
        ${on ? this.#line() : nothing}
        ${this.#deaf ? html`<p class="notice">${icon("microphone")}<span>${errorText(this.#deaf)} ${t("talk.type_instead")}</span></p>` : nothing}
        ${errorBox(this.#error)} ${this.#missingModel()}
      </section>
    `;
  }

  /** What to do if the server has no language model. */
  #missingModel() {
    const text = /** @type {any} */ (this.#error)?.message ?? "";
    return text.includes("LLM_URL")
      ? html`<div class="notice">
          ${icon("settings")}
          <div><p>${t("talk.no_model")}</p><p><code>LLM_URL=http://localhost:11434/v1 LLM_MODEL=…</code></p></div>
        </div>`
      : nothing;
  }

  #log() {
    const messages = (this.#conversation?.messages ?? []).filter(({ text, state }) => text || state !== "done");
    return html`
      <div class="log" role="log" tabindex="0" aria-label=${t("talk.transcript")}>
        ${messages.length
          ? html`<ol>${repeat(messages, (/** @type {Message} */ { id }) => id, (/** @type {Message} */ message) => html`
              <li class="message ${message.role} ${message.state}" data-role=${message.role} data-state=${message.state}>
                <span class="who">${t(`talk.role_${message.role}`)}</span>
                <p>${message.text || (message.state === "growing" ? html`<span class="dots" aria-hidden="true"></span>` : "…")}</p>
                ${message.state === "interrupted" ? html`<small>${t("talk.interrupted")}</small>` : nothing}
              </li>`)}</ol>`
          : html`<p class="hint muted">${t("talk.hint")}</p>`}
      </div>
    `;
  }

  #line() {
    const send = (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      const input = /** @type {HTMLInputElement} */ (/** @type {HTMLFormElement} */ (event.target).elements.namedItem("text"));
      const text = input.value.trim();
      if (!text) return;
      this.#conversation?.write(text);
      input.value = "";
    };
    return html`
      <form class="line row" @submit=${send}>
        <input name="text" autocomplete="off" aria-label=${t("talk.type")} placeholder=${t("talk.type")} />
        <button class="button" data-act="send">${t("talk.send")}</button>
      </form>
    `;
  }
}
