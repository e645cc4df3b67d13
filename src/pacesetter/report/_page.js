// Draws every chart of the page from its specification and data, in the colours the reader's system asks for.
const charts = JSON.parse(document.getElementById("charts").textContent);
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const views = [];
let pinned = 0;

function rows(columns) {
  const names = Object.keys(columns);
  const values = names.map((name) => {
    const column = columns[name];
    if (Array.isArray(column)) return column;
    const list = [];
    for (let i = 0; i < column.runs.length; i += 2) {
      for (let k = 0; k < column.runs[i + 1]; k += 1) list.push(column.runs[i]);
    }
    return list;
  });
  const count = names.length ? values[0].length : 0;
  return Array.from({ length: count }, (_, i) => Object.fromEntries(names.map((name, k) => [name, values[k][i]])));
}

function light(lr) {
  for (const view of views) {
    if (view.pacesetterPicks && view.signal("picked") !== lr) view.signal("picked", lr).runAsync();
  }
  for (const chip of document.querySelectorAll(".chip")) {
    const own = Number(chip.dataset.lr);
    chip.classList.toggle("dim", lr !== 0 && Math.abs(Math.log(own / lr)) > 1e-6);
    chip.setAttribute("aria-pressed", String(pinned !== 0 && own === pinned));
  }
}

async function drawCell(plot, chart, index, shared) {
  const spec = structuredClone(dark.matches ? chart.dark : chart.light);
  spec.data = { name: "rows" };
  spec.datasets = { rows: rows(chart.cells[index]), ...shared };
  spec.width = "container";
  spec.autosize = { type: "fit-x", contains: "padding" };
  spec.padding = { left: 2, right: 6, top: 4, bottom: 2 };
  const result = await window.vegaEmbed(plot, spec, {
    mode: "vega-lite", actions: false, renderer: "svg", tooltip: { theme: dark.matches ? "dark" : "light" },
  });
  const view = result.view;
  view.pacesetterPicks = (chart.light.params || []).some((param) => param.name === "picked");
  if (view.pacesetterPicks) {
    view.addEventListener("mouseover", (_, item) => {
      const datum = item && item.datum && (item.mark.marktype === "line" ? item.mark.items[0].datum : item.datum);
      if (!pinned && datum && datum.lr && datum.ended) light(datum.lr);
    });
    view.addEventListener("mouseout", () => { if (!pinned) light(0); });
  }
  views.push(view);
}

async function drawAll() {
  while (views.length) views.pop().finalize();
  const figures = [...document.querySelectorAll("figure[data-chart]")];
  figures.sort((a, b) => Number(a.hidden) - Number(b.hidden));  // what is seen first is drawn first
  for (const figure of figures) {
    const chart = charts[figure.dataset.chart];
    const shared = Object.fromEntries(Object.entries(chart.shared).map(([name, table]) => [name, rows(table)]));
    const hidden = figure.hidden;
    figure.classList.toggle("measured", hidden);  // laid out but not seen, so that it has a width to be drawn in
    figure.hidden = false;
    const plots = [...figure.querySelectorAll(".plot")];
    await Promise.all(plots.map((plot, index) => drawCell(plot, chart, index, shared)));
    figure.hidden = hidden && figure.classList.contains("measured");
    figure.classList.remove("measured");
  }
  light(pinned);
  document.documentElement.dataset.drawn = String(views.length);
}

for (const tabs of document.querySelectorAll(".tabs")) {
  const buttons = [...tabs.querySelectorAll("button")];
  const choose = (button) => {
    for (const other of buttons) {
      const figure = document.getElementById(other.getAttribute("aria-controls"));
      const chosen = other === button;
      other.setAttribute("aria-selected", String(chosen));
      other.tabIndex = chosen ? 0 : -1;
      figure.hidden = !chosen;
      figure.classList.remove("measured");
    }
    window.dispatchEvent(new Event("resize"));
  };
  buttons.forEach((button, index) => {
    button.tabIndex = index === 0 ? 0 : -1;
    button.addEventListener("click", () => choose(button));
    button.addEventListener("keydown", (event) => {
      const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!move) return;
      const next = buttons[(index + move + buttons.length) % buttons.length];
      choose(next);
      next.focus();
    });
  });
}

for (const chip of document.querySelectorAll(".chip")) {
  const lr = Number(chip.dataset.lr);
  chip.addEventListener("mouseenter", () => { if (!pinned) light(lr); });
  chip.addEventListener("mouseleave", () => { if (!pinned) light(0); });
  chip.addEventListener("click", () => {
    pinned = pinned === lr ? 0 : lr;
    light(pinned);
  });
}

for (const button of document.querySelectorAll(".copy")) {
  button.addEventListener("click", async () => {
    const code = button.parentElement.querySelector("code");
    const chosen = window.getSelection();
    chosen.selectAllChildren(code);
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      button.textContent = document.execCommand("copy") ? "Copied" : "Selected: press Ctrl+C";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
}

dark.addEventListener("change", drawAll);
drawAll();
