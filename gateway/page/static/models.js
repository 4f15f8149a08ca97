// @ts-check
/** The lists of models and voices that views choose from. */

import { languageName } from "./i18n.js";

/**
 * @typedef {object} Model
 * @property {string} id
 * @property {"speech" | "transcription"} kind
 * @property {string} mode `voice_clone` speaks in registered voices, `voice_design` in a voice that is described
 * @property {string[] | null} options the request options that it supports, as the gRPC contract names them
 * @property {string[] | null} languages ISO 639-1 codes
 */
/** @typedef {{id: string, name: string, language?: string}} Voice */

/** Return the models of a kind. @param {import("./api.js").Api} api @param {Model["kind"]} kind @returns {Promise<Model[]>} */
export async function listModels(api, kind) {
  const { data } = await api.json("v1/models");
  return data.filter((/** @type {Model} */ model) => model.kind === kind);
}

/**
 * Return the voices of a speech model, and which of them the user registered.
 * @param {import("./api.js").Api} api @param {string} model @param {AbortSignal} [signal]
 * @returns {Promise<{voices: Voice[], registered: Set<string>}>}
 */
export async function listVoices(api, model, signal) {
  const { voices, data } = await api.json(`v1/audio/voices?model=${encodeURIComponent(model)}`, { signal });
  return { voices, registered: new Set((data ?? []).map((/** @type {Voice} */ voice) => voice.id)) };
}

/** Whether a model supports an option; one that was not loaded yet may. @param {Model | undefined} model @param {string} option */
export function supports(model, option) {
  return !model?.options || model.options.includes(option);
}

/** Whether a model is known to report the times of words; a request for them fails otherwise. @param {Model | undefined} model */
export function timesWords(model) {
  return Boolean(model?.options?.includes("word_timestamps"));
}

/** Return codes and names of a model's languages, by name. @param {Model | undefined} model @returns {[string, string][]} */
export function languagesOf(model) {
  const named = (model?.languages ?? []).map((code) => /** @type {[string, string]} */ ([code, languageName(code)]));
  return named.sort(([, one], [, other]) => one.localeCompare(other));
}
