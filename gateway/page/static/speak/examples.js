// @ts-check
/** Sentences to try voices with, by language. */

/** @type {Record<string, string>} */
const EXAMPLES = {
  en: "The quick brown fox jumps over the lazy dog, then stops, looks back and wonders what all the hurry was about.",
  es: "Esta mañana el sol entra por la ventana y el café todavía está caliente. No hay ninguna prisa.",
  fr: "Ce matin, la lumière entre par la fenêtre et le café est encore chaud. Rien ne presse.",
  de: "Heute Morgen fällt die Sonne durch das Fenster, und der Kaffee ist noch warm. Es eilt nicht.",
  it: "Stamattina il sole entra dalla finestra e il caffè è ancora caldo. Non c'è nessuna fretta.",
  pt: "Hoje de manhã o sol entra pela janela e o café ainda está quente. Não há pressa.",
  hi: "आज सुबह धूप खिड़की से अंदर आ रही है और चाय अभी भी गर्म है। कोई जल्दी नहीं है।",
  ja: "今朝は窓から日が差し込み、コーヒーはまだ温かいままです。急ぐことはありません。",
  ko: "오늘 아침에는 창문으로 햇살이 들어오고 커피는 아직 따뜻합니다. 서두를 것 없어요.",
  ru: "Сегодня утром солнце светит в окно, а кофе ещё горячий. Спешить некуда.",
  zh: "今天早上，陽光從窗戶照進來，咖啡還是熱的。不用著急。",
};

/** Return an example in a language, or in the page's. @param {string} [code] @param {string} [page] BCP 47 tag */
export function example(code = "", page = "en") {
  return EXAMPLES[code.split("-")[0]] ?? EXAMPLES[page.split("-")[0]] ?? EXAMPLES.en;
}
