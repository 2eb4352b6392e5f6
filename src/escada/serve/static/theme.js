// Not a module: it runs before the page is painted, so that a chosen theme does not flash.
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem("escada-theme");
  } catch {
    // storage is switched off: the system's theme serves
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
