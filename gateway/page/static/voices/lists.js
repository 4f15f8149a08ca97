// @ts-check
/** The user's voices and consents, and the voices of the models. */

import { html, nothing } from "../vendor/lit-html/lit-html.js";
import { repeat } from "../vendor/lit-html/directives/repeat.js";
import { formatNumber, language, languageName, t } from "../i18n.js";
import { icon } from "../icons.js";
import { emptyState } from "../ui.js";
import { readings } from "./readings.js";

/** @typedef {import("./catalogue.js").Catalogue} Catalogue */
/** @typedef {import("./catalogue.js").OwnVoice} OwnVoice */
/** @typedef {import("../models.js").Voice} ModelVoice */
/** @typedef {import("./preview.js").Preview} Preview */

/** Whether a voice has a text in its name, its id, or its language. @param {string} query */
const matches = (query) => (/** @type {{id: string, name: string, language?: string}} */ voice) =>
  [voice.name, voice.id, voice.language ? languageName(voice.language) : ""]
    .join(" ")
    .toLowerCase()
    .includes(query.trim().toLowerCase());

/**
 * Return the user's voices.
 * @param {Catalogue} catalogue @param {string} query @param {Preview} preview
 * @param {{remove: (voice: OwnVoice) => void}} acts
 */
export function ownVoices(catalogue, query, preview, { remove }) {
  const found = catalogue.own.filter(matches(query));
  if (!found.length) return query ? nothing : emptyState("voices", t("voices.none"));
  return html`<ul class="own">
    ${repeat(
      found,
      (/** @type {OwnVoice} */ { id }) => id,
      (/** @type {OwnVoice} */ voice) => ownVoice(catalogue, voice, preview, remove),
    )}
  </ul>`;
}

/** @param {Catalogue} catalogue @param {OwnVoice} voice @param {Preview} preview @param {(voice: OwnVoice) => void} remove */
function ownVoice(catalogue, voice, preview, remove) {
  const consent = catalogue.consents.find((each) => each.id === voice.consent);
  const play = () =>
    preview.toggle(voice.id, `v1/audio/voices/${voice.id}/preview`, { input: readings(voice.language).sample });
  return html`
    <li class="card" data-voice=${voice.name}>
      ${playButton(preview, voice.id, voice.name, play, !catalogue.cloning.length)}
      <div class="about">
        <h3>${voice.name}</h3>
        <p class="facts">
          ${voice.language ? html`<span class="chip">${languageName(voice.language)}</span>` : nothing}
          <span class="chip">${voice.type === "prompt" ? t("voices.designed") : t("voices.recorded")}</span>
          <span class="chip">${t("voices.seconds", { seconds: formatNumber(voice.duration, 1) })}</span>
          <span class="muted">${t("voices.created", { date: day(voice.created_at) })}</span>
          ${consent ? html`<span class="muted">${consent.name}</span>` : nothing}
        </p>
        ${voice.prompt || voice.ref_text ? html`<p class="quote">${voice.prompt ?? voice.ref_text}</p>` : nothing}
        <p class="id"><code>${voice.id}</code></p>
      </div>
      <button
        type="button"
        class="button quiet round"
        title=${t("voices.delete")}
        aria-label=${t("voices.delete_name", { name: voice.name })}
        @click=${() => remove(voice)}
      >
        ${icon("trash")}
      </button>
    </li>
  `;
}

/** Return the voices of the models. @param {Catalogue} catalogue @param {string} query @param {Preview} preview */
export function modelVoices(catalogue, query, preview) {
  const groups = catalogue.groups
    .map(({ models, voices }) => ({ models, total: voices.length, voices: voices.filter(matches(query)) }))
    .filter(({ voices }) => voices.length);
  if (!groups.length) return html`<p class="muted">${query ? t("voices.no_match") : t("voices.no_model_voices")}</p>`;
  return groups.map(
    ({ models, total, voices }) => html`
      <section class="card stack" aria-label=${models.join(", ")}>
        <h3 class="models">${models.join(", ")} <span class="chip">${count(voices.length, total)}</span></h3>
        <ul class="grid">
          ${repeat(
            voices,
            (/** @type {ModelVoice} */ { id }) => id,
            (/** @type {ModelVoice} */ voice) => {
              const play = () =>
                preview.toggle(`${models[0]}/${voice.id}`, "v1/audio/speech", {
                  model: models[0],
                  voice: voice.id,
                  input: readings(voice.language).sample,
                });
              return html`<li>
                ${playButton(preview, `${models[0]}/${voice.id}`, voice.name, play)}
                <span class="names"><strong>${shortName(voice)}</strong>
                  <small>${voice.language ? languageName(voice.language) : t("voices.any_language")} · ${voice.id}</small>
                </span>
              </li>`;
            },
          )}
        </ul>
      </section>
    `,
  );
}

/**
 * Return the consents that are kept, with the voices that need them.
 * @param {Catalogue} catalogue @param {(consent: import("./catalogue.js").Consent) => void} remove
 */
export function consentList(catalogue, remove) {
  if (!catalogue.consents.length) return nothing;
  return html`
    <details class="consents">
      <summary>${icon("chevron")}${t("voices.consents", { count: catalogue.consents.length })}</summary>
      <ul>
        ${catalogue.consents.map((consent) => {
          const users = catalogue.own.filter((voice) => voice.consent === consent.id).map((voice) => voice.name);
          return html`<li>
            <span class="names">
              <strong>${consent.name}</strong>
              <small>
                ${languageName(consent.language)} · ${day(consent.created_at)} ·
                ${users.length ? t("voices.used_by", { names: users.join(", ") }) : t("voices.unused")}
              </small>
            </span>
            <button
              type="button"
              class="button quiet round"
              title=${t("voices.delete")}
              aria-label=${t("voices.delete_consent_name", { name: consent.name })}
              ?disabled=${users.length > 0}
              @click=${() => remove(consent)}
            >
              ${icon("trash")}
            </button>
          </li>`;
        })}
      </ul>
    </details>
  `;
}

/** @param {Preview} preview @param {string} id @param {string} name @param {() => void} play @param {boolean} [off] */
function playButton(preview, id, name, play, off = false) {
  const state = preview.voice === id ? preview.state : "idle";
  const label = state === "idle" ? t("voices.hear_name", { name }) : t("voices.stop_name", { name });
  return html`
    <button
      type="button"
      class="button round play"
      aria-pressed=${state === "idle" ? "false" : "true"}
      title=${off ? t("voices.cannot_speak") : label}
      aria-label=${label}
      ?disabled=${off}
      @click=${play}
    >
      ${state === "loading" ? html`<span class="spinner" aria-hidden="true"></span>` : icon(state === "idle" ? "play" : "stop")}
    </button>
  `;
}

/** The name without the language that the server adds to it. @param {{name: string, language?: string}} voice */
function shortName(voice) {
  return voice.language ? voice.name.replace(/ \([^()]+\)$/, "") : voice.name;
}

/** @param {number} shown @param {number} total */
function count(shown, total) {
  return shown === total ? formatNumber(total) : t("voices.of", { shown: formatNumber(shown), total: formatNumber(total) });
}

/** @param {number} seconds Unix time */
function day(seconds) {
  return new Date(1000 * seconds).toLocaleDateString(language(), { dateStyle: "medium" });
}
