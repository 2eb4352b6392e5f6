(() => {
  const radios = [...document.querySelectorAll('input[name="language"]')];
  const key = "escada-report-language";
  const remembered = () => { try { return localStorage.getItem(key); } catch { return null; } };
  const remember = (code) => { try { localStorage.setItem(key, code); } catch { /* a file opened without storage */ } };
  const show = (code) => {
    const from = document.querySelector(`main[data-lang]:not([data-lang="${code}"])`);
    radios.forEach((radio) => { radio.checked = radio.value !== code; }); // shows `from`, to see where the reader is
    const here = [...from.querySelectorAll("section[id]")].reverse().find((s) => s.offsetParent && s.getBoundingClientRect().top < 120);
    const top = here ? here.getBoundingClientRect().top : 0;
    radios.forEach((radio) => { radio.checked = radio.value === code; });
    document.documentElement.lang = code === "pt" ? "pt-BR" : "en";
    if (here) {
      const there = document.getElementById(here.id.replace(/^../, code));
      if (there) window.scrollBy({ top: there.getBoundingClientRect().top - top, behavior: "instant" });
    }
  };
  const asked = new URLSearchParams(location.search).get("lang");
  const anchored = /^#(en|pt)-/.exec(location.hash);
  const first = asked || (anchored && anchored[1]) || remembered() || (navigator.language.startsWith("pt") ? "pt" : "en");
  show(first === "pt" ? "pt" : "en");
  if (anchored) { const target = document.getElementById(location.hash.slice(1)); if (target) target.scrollIntoView({ behavior: "instant" }); }
  radios.forEach((radio) => radio.addEventListener("change", () => { show(radio.value); remember(radio.value); }));
  addEventListener("beforeprint", () => document.querySelectorAll("details.prompt").forEach((d) => { d.open = true; }));
})();
