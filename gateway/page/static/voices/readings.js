// @ts-check
/** Texts to read aloud, in the language of the voice: for the recording, for the consent, and for a preview. */

import { language } from "../i18n.js";

/** @typedef {{read: string, consent: string, sample: string}} Readings */

/** @type {Record<string, Readings>} */
const READINGS = {
  en: {
    read: "Most mornings I walk down to the river before the city wakes up. The water is grey at first, then green, and by the time the first boats pass I have forgotten what I was worried about.",
    consent: "I am the owner of this voice, and I agree that it is used to make synthetic speech.",
    sample: "Hello! This is how I sound. It is good to meet you.",
  },
  ko: {
    read: "저는 아침마다 도시가 깨어나기 전에 강가로 걸어갑니다. 물은 처음에는 회색이었다가 초록빛이 되고, 첫 배가 지나갈 즈음이면 무엇을 걱정했는지도 잊어버립니다.",
    consent: "저는 이 목소리의 주인이며, 제 목소리를 합성 음성에 사용하는 것에 동의합니다.",
    sample: "안녕하세요! 제 목소리는 이렇습니다. 만나서 반갑습니다.",
  },
  zh: {
    read: "每天清晨，城市還沒醒來，我就走到河邊。河水起初是灰色的，然後慢慢變綠；等到第一艘船經過，我已經忘了自己原本在擔心什麼。",
    consent: "我是這個聲音的本人，我同意將我的聲音用於合成語音。",
    sample: "你好！這就是我的聲音，很高興認識你。",
  },
  ja: {
    read: "朝はたいてい、街が目を覚ます前に川まで歩きます。水ははじめ灰色で、やがて緑になり、最初の船が通るころには、何を心配していたのか忘れています。",
    consent: "私はこの声の本人であり、合成音声に使われることに同意します。",
    sample: "こんにちは。これが私の声です。はじめまして。",
  },
  es: {
    read: "Casi todas las mañanas bajo al río antes de que despierte la ciudad. El agua es primero gris y luego verde, y cuando pasan los primeros barcos ya he olvidado lo que me preocupaba.",
    consent: "Soy la persona dueña de esta voz y acepto que se use para crear voz sintética.",
    sample: "¡Hola! Así suena mi voz. Encantado de conocerte.",
  },
  fr: {
    read: "Presque tous les matins, je descends à la rivière avant que la ville se réveille. L'eau est d'abord grise, puis verte, et quand passent les premiers bateaux, j'ai oublié ce qui m'inquiétait.",
    consent: "Cette voix est la mienne, et j'accepte qu'elle serve à produire de la parole de synthèse.",
    sample: "Bonjour ! Voilà le son de ma voix. Enchanté.",
  },
  de: {
    read: "Fast jeden Morgen gehe ich zum Fluss, bevor die Stadt aufwacht. Das Wasser ist erst grau, dann grün, und wenn die ersten Boote kommen, habe ich vergessen, was mir Sorgen gemacht hat.",
    consent: "Diese Stimme ist meine, und ich bin damit einverstanden, dass sie für künstliche Sprache benutzt wird.",
    sample: "Hallo! So klinge ich. Schön, dass du da bist.",
  },
  it: {
    read: "Quasi ogni mattina scendo al fiume prima che la città si svegli. L'acqua è prima grigia, poi verde, e quando passano le prime barche ho già dimenticato che cosa mi preoccupava.",
    consent: "Questa voce è la mia, e accetto che sia usata per produrre voce sintetica.",
    sample: "Ciao! Questa è la mia voce. Piacere di conoscerti.",
  },
  pt: {
    read: "Quase todas as manhãs desço até o rio antes que a cidade acorde. A água é cinzenta no começo, depois verde, e quando passam os primeiros barcos já esqueci o que me preocupava.",
    consent: "Esta voz é minha, e aceito que seja usada para produzir fala sintética.",
    sample: "Olá! Esta é a minha voz. Muito prazer.",
  },
  ru: {
    read: "Почти каждое утро я спускаюсь к реке, пока город ещё спит. Вода сначала серая, потом зелёная, и когда проходят первые лодки, я уже не помню, о чём тревожился.",
    consent: "Это мой голос, и я согласен на его использование для синтеза речи.",
    sample: "Здравствуйте! Так звучит мой голос. Приятно познакомиться.",
  },
  hi: {
    read: "लगभग हर सुबह मैं शहर के जागने से पहले नदी तक टहलता हूँ। पानी पहले धूसर होता है, फिर हरा, और पहली नावों के आने तक मैं अपनी चिंता भूल चुका होता हूँ।",
    consent: "यह मेरी आवाज़ है, और मैं इसे कृत्रिम वाणी के लिए इस्तेमाल करने की सहमति देता हूँ।",
    sample: "नमस्ते! मेरी आवाज़ ऐसी है। आपसे मिलकर अच्छा लगा।",
  },
};

/** The languages that there are texts in: ISO 639-1 codes. */
export const READING_LANGUAGES = Object.keys(READINGS);

/** The page's language as an ISO 639-1 code. */
export function pageLanguage() {
  return language().split("-")[0];
}

/**
 * Return the texts in a language; for one without texts, or none, those in the page's language.
 * @param {string} [code] of ISO 639-1 @returns {Readings & {tag: string}}
 * `tag` is the BCP 47 tag of the texts
 */
export function readings(code = "") {
  const found = code in READINGS ? code : pageLanguage();
  return { ...READINGS[found], tag: found === "zh" ? "zh-TW" : found };
}
