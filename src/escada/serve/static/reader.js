// What a reader chooses for the whole page: its language and its theme.

import { byId } from "./dom.js";
import { language, rememberLanguage, setLanguage } from "./i18n.js";

/** Show the choices of now in the two switches, and follow them. */
export function listenToSwitches() {
  byId(`language-${language()}`).checked = true;
  for (const input of document.querySelectorAll('input[name="language"]')) {
    input.addEventListener("change", () => {
      setLanguage(input.value);
      rememberLanguage();
    });
  }
  for (const input of document.querySelectorAll('input[name="theme"]')) {
    input.checked = input.value === (document.documentElement.dataset.theme ?? "system");
    input.addEventListener("change", () => setTheme(input.value));
  }
}

function setTheme(theme) {
  const root = document.documentElement;
  if (theme === "system") delete root.dataset.theme;
  else root.dataset.theme = theme;
  try {
    localStorage.setItem("escada-theme", theme);
  } catch {
    // storage is switched off: the choice lasts as long as the page
  }
}
