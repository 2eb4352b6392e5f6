// Openings to begin with, from the prompts that every rung is sampled with (prompts.toml; tested).

export const EXAMPLES = [
  { name: { pt: "conto", en: "tale" }, text: "Era uma vez" },
  {
    name: { pt: "notícia", en: "news" },
    text: "A Câmara Municipal aprovou nesta terça-feira, por 19 votos a 6, o projeto de lei que",
  },
  {
    name: { pt: "lei", en: "law" },
    text: "Art. 5º O servidor público que, no exercício de suas funções,",
  },
  {
    name: { pt: "tese", en: "thesis" },
    text: "Neste capítulo apresentam-se os resultados obtidos nos ensaios de laboratório. As amostras foram",
  },
  {
    name: { pt: "romance", en: "novel" },
    text: "A casa ficava no fim da rua, e ninguém se lembrava de",
  },
];
