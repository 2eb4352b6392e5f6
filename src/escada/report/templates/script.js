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
  const again = (performance.getEntriesByType("navigation")[0] || {}).type === "reload";
  if (anchored && !again) { const target = document.getElementById(location.hash.slice(1)); if (target) target.scrollIntoView({ behavior: "instant" }); }
  radios.forEach((radio) => radio.addEventListener("change", () => { show(radio.value); remember(radio.value); }));
  const frames = [...document.querySelectorAll(".frame")].map((frame) => [frame, frame.querySelector(".scroll")]);
  const hint = ([frame, scroll]) => { // a table that is wider than its frame says so
    const rest = scroll.scrollWidth - scroll.clientWidth;
    frame.classList.toggle("overflows", rest > 1);
    frame.classList.toggle("on-right", rest - scroll.scrollLeft > 1);
    frame.classList.toggle("on-left", scroll.scrollLeft > 1);
    frame.style.setProperty("--scroll-height", `${scroll.clientHeight}px`);
  };
  const sizes = new ResizeObserver(() => frames.forEach(hint));
  frames.forEach(([frame, scroll]) => {
    scroll.addEventListener("scroll", () => hint([frame, scroll]), { passive: true });
    sizes.observe(scroll); // also when its language is chosen
  });
  document.addEventListener("toggle", () => frames.forEach(hint), true);
  const live = document.querySelector(".live");
  if (live) { // a climb is running: this page is written again and again
    const holds = [...live.querySelectorAll(".hold")];
    const told = () => {
      const seconds = Math.max(0, Math.round((Date.now() - Date.parse(live.dataset.written)) / 1000));
      live.querySelectorAll(".age").forEach((age) => { age.textContent = seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`; });
    };
    told();
    setInterval(told, 1000);
    setInterval(() => { if (!holds.some((hold) => hold.checked)) location.reload(); }, 1000 * Number(live.dataset.every));
    holds.forEach((hold) => hold.addEventListener("change", () => holds.forEach((other) => { other.checked = hold.checked; })));
  }
  addEventListener("beforeprint", () => document.querySelectorAll("details.prompt").forEach((d) => { d.open = true; }));
})();
