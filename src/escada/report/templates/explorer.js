// A learning curve that can be asked: what each rung has at the pointer, a part of it enlarged, rungs
// on and off, another axis. Its numbers are in the page; without this script the drawn curves remain.
(() => {
  const SVG = document.querySelector("svg").namespaceURI;
  const AXES = ["tokens", "flops", "seconds"];
  const HEIGHT = 380;
  const MARGIN = { left: 52, right: 16, top: 12, bottom: 44 };

  const make = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
  const draw = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
  function fill(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  document.querySelectorAll(".explorer").forEach((box) => explore(box, JSON.parse(box.dataset.curves)));

  function explore(box, { lines, words }) {
    const tag = box.closest("[lang]").lang;
    const state = { axis: "tokens", range: null, at: null, hidden: new Set(), from: null };
    const format = (value, options) => new Intl.NumberFormat(tag, options).format(value);
    const bits = (value) => format(value, { minimumFractionDigits: 3, maximumFractionDigits: 3 });
    const logarithmic = () => state.axis !== "seconds";
    const scaled = (x) => (logarithmic() ? Math.log10(x) : x);
    const plain = (x) => (logarithmic() ? 10 ** x : x);

    const svg = draw("svg", { tabindex: "0", role: "application", "aria-label": words.label, height: HEIGHT });
    const told = make("p", { class: "told", role: "status" }, words.hint);
    const reset = make("button", { type: "button" }, words.reset);
    const switches = AXES.map((axis) => {
      const button = make("button", { type: "button", "aria-pressed": String(axis === state.axis) }, words[axis]);
      button.addEventListener("click", () => {
        Object.assign(state, { axis, range: null, at: null });
        switches.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
        render();
      });
      return button;
    });
    const rungs = lines.map((line) => {
      const button = make("button", { type: "button", class: "rung", "aria-pressed": "true" }, line.name);
      button.style.setProperty("--c", `var(--${line.role})`);
      button.addEventListener("click", () => {
        if (!state.hidden.delete(line.name)) state.hidden.add(line.name);
        button.setAttribute("aria-pressed", String(!state.hidden.has(line.name)));
        render();
      });
      return button;
    });
    reset.addEventListener("click", () => zoom(null));
    const group = (label, ...children) => make("div", { class: "choices", role: "group", "aria-label": label }, ...children);
    box.append(group(words.axis, ...switches, reset), group(words.rungs, ...rungs), svg, told);
    box.hidden = false;

    const shown = () => lines.filter((line) => !state.hidden.has(line.name));
    const pointsOf = (line) => line.points.filter((point) => !logarithmic() || point[state.axis] > 0);

    function frame() {
      const xs = shown().flatMap((line) => pointsOf(line).map((point) => scaled(point[state.axis])));
      const [low, high] = state.range ?? [Math.min(...xs), Math.max(...xs)];
      const inside = (point) => scaled(point[state.axis]) >= low && scaled(point[state.axis]) <= high;
      const ends = shown().map((line) => pointsOf(line).at(-1)?.bits_per_byte).filter((end) => end !== undefined);
      const ys = shown().flatMap((line) => pointsOf(line).filter(inside).map((point) => point.bits_per_byte));
      const bottom = Math.min(...ys);
      const span = Math.max(Math.max(...ends) - bottom, 0.05 * bottom);
      const top = state.range ? Math.max(...ys) : Math.min(Math.max(...ys), bottom + 3 * span);
      const room = 0.05 * Math.max(top - bottom, 1e-6);
      return { low, high: high > low ? high : low + 1, bottom: bottom - room, top: top + room };
    }

    function render() {
      const { width } = svg.getBoundingClientRect();
      svg.replaceChildren();
      reset.disabled = state.range === null;
      if (!width || !shown().some((line) => pointsOf(line).length)) return;
      const { low, high, bottom, top } = frame();
      const x = (value) => MARGIN.left + ((value - low) / (high - low)) * (width - MARGIN.left - MARGIN.right);
      const y = (value) => MARGIN.top + ((top - value) / (top - bottom)) * (HEIGHT - MARGIN.top - MARGIN.bottom);
      state.place = { x, low, high, width };
      for (const tick of steps(bottom, top, 6)) {
        svg.append(
          draw("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(tick), y2: y(tick) }),
          draw("text", { x: MARGIN.left - 8, y: y(tick) + 4, "text-anchor": "end" }, format(tick, { maximumFractionDigits: 3 })),
        );
      }
      for (const tick of ticks(low, high, width < 500 ? 4 : 7)) {
        svg.append(
          draw("line", { class: "grid", x1: x(tick), x2: x(tick), y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom }),
          draw("text", { x: x(tick), y: HEIGHT - MARGIN.bottom + 18, "text-anchor": "middle" }, amount(plain(tick))),
        );
      }
      svg.append(draw("text", { x: width - MARGIN.right, y: HEIGHT - 6, "text-anchor": "end" }, words[state.axis]));
      const clip = `${box.id}-clip`;
      const area = { x: MARGIN.left, y: MARGIN.top, width: width - MARGIN.left - MARGIN.right, height: HEIGHT - MARGIN.top - MARGIN.bottom };
      svg.append(draw("clipPath", { id: clip }, draw("rect", area)));
      const curves = draw("g", { "clip-path": `url(#${clip})` });
      for (const line of shown()) {
        const places = pointsOf(line).map((point) => [x(scaled(point[state.axis])), y(point.bits_per_byte)]);
        const path = draw("polyline", { points: places.map((place) => place.join(",")).join(" ") });
        path.style.stroke = `var(--${line.role})`;
        curves.append(path);
        for (const [cx, cy] of places) {
          const dot = draw("circle", { cx, cy, r: 3 });
          dot.style.fill = `var(--${line.role})`;
          curves.append(dot);
        }
      }
      if (state.at !== null) {
        curves.append(draw("line", { class: "cross", x1: x(state.at), x2: x(state.at), y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom }));
        for (const { line, point } of nearest()) {
          const ring = draw("circle", { class: "ring", cx: x(scaled(point[state.axis])), cy: y(point.bits_per_byte), r: 6 });
          ring.style.stroke = `var(--${line.role})`;
          curves.append(ring);
        }
      }
      svg.append(curves);
      if (state.from !== null && state.at !== null) {
        const [a, b] = [x(state.from), x(state.at)].sort((one, other) => one - other);
        svg.append(draw("rect", { class: "chosen", x: a, width: b - a, y: MARGIN.top, height: area.height }));
      }
    }

    /** Each rung's point that is nearest to the crosshair. */
    function nearest() {
      return shown().flatMap((line) => {
        const points = pointsOf(line);
        if (!points.length) return [];
        const far = (point) => Math.abs(scaled(point[state.axis]) - state.at);
        return [{ line, point: points.reduce((best, point) => (far(point) < far(best) ? point : best)) }];
      });
    }

    function tell() {
      const parts = nearest()
        .sort((a, b) => a.point.bits_per_byte - b.point.bits_per_byte)
        .map(({ line, point }) => `${line.name} ${bits(point.bits_per_byte)} (${amount(point[state.axis])})`);
      told.textContent = `${words.at} ${amount(plain(state.at))}: ${parts.join("; ")}`;
    }

    function point(value) {
      state.at = value;
      render();
      if (value === null) told.textContent = words.hint;
      else tell();
    }

    function zoom(range) {
      Object.assign(state, { range, at: null, from: null });
      point(null);
    }

    const valueAt = (event) => {
      const { low, high, width } = state.place;
      const along = (event.clientX - svg.getBoundingClientRect().left - MARGIN.left) / (width - MARGIN.left - MARGIN.right);
      return low + Math.min(Math.max(along, 0), 1) * (high - low);
    };
    svg.addEventListener("pointermove", (event) => state.place && point(valueAt(event)));
    svg.addEventListener("pointerleave", () => { if (state.from === null) point(null); });
    svg.addEventListener("pointerdown", (event) => {
      if (!state.place) return;
      if (event.pointerType === "mouse" && event.button === 0) {
        state.from = valueAt(event);
        svg.setPointerCapture(event.pointerId);
      } else point(valueAt(event)); // a finger scrolls the page; a touch tells the values
    });
    svg.addEventListener("pointerup", (event) => {
      if (state.from === null) return;
      const [low, high] = [state.from, valueAt(event)].sort((a, b) => a - b);
      state.from = null;
      if (high - low > 0.03 * (state.place.high - state.place.low)) zoom([low, high]);
      else render();
    });
    svg.addEventListener("wheel", (event) => {
      if (!(event.ctrlKey || event.metaKey) || !state.place) return;
      event.preventDefault();
      const [at, by] = [valueAt(event), event.deltaY < 0 ? 0.7 : 1 / 0.7];
      zoom([at + (state.place.low - at) * by, at + (state.place.high - at) * by]);
    }, { passive: false });
    svg.addEventListener("keydown", (event) => {
      const all = [...new Set(shown().flatMap((line) => pointsOf(line).map((one) => scaled(one[state.axis]))))].sort((a, b) => a - b);
      const places = all.filter((place) => place >= state.place.low && place <= state.place.high);
      const here = state.at ?? -Infinity;
      const moves = {
        ArrowRight: () => places.find((place) => place > here) ?? places.at(-1),
        ArrowLeft: () => places.findLast((place) => place < here) ?? places[0],
        Home: () => places[0],
        End: () => places.at(-1),
      };
      if (event.key === "Escape") zoom(null);
      else if (moves[event.key]) point(moves[event.key]());
      else return;
      event.preventDefault();
    });

    function amount(value) {
      if (state.axis === "flops") return `${format(value / 10 ** Math.floor(Math.log10(value)), { maximumFractionDigits: 1 })} × 10${raised(Math.floor(Math.log10(value)))}`;
      if (state.axis === "tokens") return format(value, { notation: "compact", maximumSignificantDigits: 3 });
      return value < 120 ? `${format(value, { maximumFractionDigits: 0 })} s` : `${format(value / 60, { maximumFractionDigits: 1 })} min`;
    }

    function ticks(low, high, most) {
      if (!logarithmic()) return steps(low, high, most);
      const found = [];
      for (let power = Math.floor(low); power <= high; power++) {
        for (const factor of [1, 2, 5]) found.push(power + Math.log10(factor));
      }
      const inside = found.filter((tick) => tick >= low && tick <= high);
      if (inside.length < 2) return steps(low, high, most);
      return inside.length > most ? inside.filter((tick) => Number.isInteger(tick)) : inside;
    }

    new ResizeObserver(render).observe(box);
  }

  const raised = (n) => [...String(n)].map((digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit] ?? "⁻").join("");

  /** Round numbers between two, about so many. */
  function steps(low, high, wanted) {
    const rough = (high - low) / wanted;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough);
    const found = [];
    for (let n = Math.ceil(low / step); n * step <= high; n++) found.push(n * step);
    return found;
  }
})();
