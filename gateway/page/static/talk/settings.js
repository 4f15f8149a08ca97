// @ts-check
/** The settings of conversations, which this browser keeps, and the session that they make. */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { live } from "../vendor/lit-html/directives/live.js";
import { RATE } from "../audio/pcm.js";
import { heardLanguages, modelEntries, speakerOf } from "../choices.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { field, options } from "../ui.js";

const STORED = "tritone.talk";

/** @typedef {import("../choices.js").Choices} Choices */

const INITIAL = { speaker: "", voice: "", transcriber: "", language: "", instructions: "" };

/** @typedef {typeof INITIAL} Values */

/** Return the settings that are kept. @returns {Values} */
export function readSettings() {
  try {
    return { ...INITIAL, ...JSON.parse(localStorage.getItem(STORED) ?? "{}") };
  } catch {
    return { ...INITIAL };
  }
}

/** Return the configuration of a session. @param {Values} values @param {Choices} choices */
export function sessionOf(values, choices) {
  const { model, voice } = speakerOf(choices, values);
  const transcriber = values.transcriber || choices.transcribing[0]?.id;
  const format = { type: "audio/pcm", rate: RATE };
  return {
    type: "realtime",
    output_modalities: ["audio"],
    ...(values.instructions.trim() ? { instructions: values.instructions.trim() } : {}),
    audio: {
      input: {
        format,
        transcription: { model: transcriber, ...(values.language ? { language: values.language } : {}) },
        turn_detection: { type: "server_vad", create_response: true, interrupt_response: true },
      },
      output: { format, ...(model ? { model } : {}), ...(voice ? { voice } : {}) },
    },
  };
}

/**
 * Return the controls. @param {Values} values @param {Choices} choices
 * @param {{changed: () => void, fixed: boolean}} more `fixed`: a conversation goes on
 */
export function settingsForm(values, choices, { changed, fixed }) {
  const set = (/** @type {keyof Values} */ name) => (/** @type {any} */ event) => {
    values[name] = event.target.value;
    localStorage.setItem(STORED, JSON.stringify(values));
    changed();
  };
  const { model, voice, voices } = speakerOf(choices, values);
  /** @param {keyof Values} name @param {[string, string][]} entries @param {string} chosen */
  const select = (name, entries, chosen) =>
    field(t(`talk.set_${name}`), html`<select name=${name} @change=${set(name)}>${options(entries, chosen)}</select>`);
  return html`
    <details class="card settings">
      <summary>${icon("settings")}${t("talk.settings")}${fixed ? html`<span class="spread muted">${t("talk.fixed")}</span>` : nothing}</summary>
      <fieldset ?disabled=${fixed}>
        <legend class="hidden">${t("talk.settings")}</legend>
        ${field(
          t("talk.set_instructions"),
          html`<textarea
            name="instructions"
            rows="3"
            placeholder=${t("talk.instructions_placeholder")}
            .value=${live(values.instructions)}
            @input=${set("instructions")}
          ></textarea>`,
        )}
        <div class="four">
          ${select("voice", voices.map((each) => [each.id, each.name]), voice)}
          ${select("speaker", modelEntries(choices.speaking), model)}
          ${select("language", [["", t("talk.detect")], ...heardLanguages(choices, values.transcriber)], values.language)}
          ${select("transcriber", modelEntries(choices.transcribing), values.transcriber || choices.transcribing[0]?.id)}
        </div>
      </fieldset>
    </details>
  `;
}
