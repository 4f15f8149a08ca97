// @ts-check
/** What the server offers to a view that speaks and listens. */

import { languagesOf, listModels, listVoices } from "./models.js";

/**
 * @typedef {object} Choices
 * @property {import("./models.js").Model[]} transcribing
 * @property {import("./models.js").Model[]} speaking those with voices to choose from
 * @property {Record<string, import("./models.js").Voice[]>} voices of each speech model
 */

/** Read the models and their voices. @param {import("./api.js").Api} api @returns {Promise<Choices>} */
export async function readChoices(api) {
  const [transcribing, speech] = await Promise.all([listModels(api, "transcription"), listModels(api, "speech")]);
  // A model that was not loaded yet has no voices to list.
  const lists = await Promise.all(speech.map(({ id }) => listVoices(api, id).then((list) => list.voices, () => [])));
  return {
    transcribing,
    speaking: speech.filter((_, index) => lists[index].length),
    voices: Object.fromEntries(speech.map(({ id }, index) => [id, lists[index]])),
  };
}

/**
 * Return the model and the voice that speak: the chosen ones if the server has them, else the first.
 * @param {Choices} choices @param {{speaker: string, voice: string}} chosen
 */
export function speakerOf({ speaking, voices }, { speaker, voice }) {
  const model = (speaking.find(({ id }) => id === speaker) ?? speaking[0])?.id ?? "";
  const known = voices[model] ?? [];
  return { model, voices: known, voice: (known.find(({ id }) => id === voice) ?? known[0])?.id ?? "" };
}

/**
 * Return the languages of the model that listens, code and name.
 * @param {Choices} choices @param {string} model its id; empty for the first
 */
export function heardLanguages({ transcribing }, model) {
  return languagesOf(transcribing.find(({ id }) => id === model) ?? transcribing[0]);
}

/** Return entries of a choice among models. @param {import("./models.js").Model[]} models @returns {[string, string][]} */
export function modelEntries(models) {
  return models.map(({ id }) => [id, id]);
}
