"use strict";
// Draws requests and servers of one schedule over time, and the state of one slot as a table.
const REPORTS = JSON.parse(document.getElementById("data").textContent);
const COLORS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#8C8C8C"];
const ALL = "all";

// Arrays are packed: −n stands for n zeros.
function unpacked(numbers) {
  const flat = [];
  for (const number of numbers) {
    if (number >= 0) flat.push(number);
    else for (let k = 0; k < -number; k++) flat.push(0);
  }
  return flat;
}

// Plotly reads a few HTML tags in names; names of a file are plain text.
const plain = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

function option(value, text) {
  const element = document.createElement("option");
  element.value = value;
  element.textContent = text;
  return element;
}

function fill(select, names, withAll) {
  if (withAll) select.append(option(ALL, ALL));
  names.forEach((name, position) => select.append(option(position, name)));
}

// Sum of a (slots, regions, kinds) array over the chosen regions and kinds, for each slot.
function series(flat, report, kinds, region, kind) {
  const regions = report.regions.length, sums = new Array(report.slots).fill(0);
  for (let t = 0; t < report.slots; t++) {
    for (let r = 0; r < regions; r++) {
      if (region !== ALL && r !== region) continue;
      const start = (t * regions + r) * kinds;
      for (let k = 0; k < kinds; k++) if (kind === ALL || k === kind) sums[t] += flat[start + k];
    }
  }
  return sums;
}

function layout(report, title, slot) {
  const css = getComputedStyle(document.documentElement);
  const ink = css.getPropertyValue("--ink").trim(), line = css.getPropertyValue("--line").trim();
  const axis = { gridcolor: line, zerolinecolor: line };
  return {
    title: { text: title, font: { size: 15 } },
    font: { color: ink }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 55, r: 10, t: 35, b: 70 },
    legend: { orientation: "h", x: 0, y: -0.26, yanchor: "top" },  // below the title of the axis
    xaxis: { ...axis, title: { text: `slot of ${report.slot_s} s`, standoff: 8 }, dtick: report.slots < 12 ? 1 : undefined },
    yaxis: { ...axis, rangemode: "tozero" },
    shapes: [{ type: "line", x0: slot, x1: slot, yref: "paper", y0: 0, y1: 1, line: { color: ink, width: 1, dash: "dot" } }],
  };
}

function explore(section, report) {
  const form = section.querySelector("form"), field = (name) => form.elements[name];
  const charts = Object.fromEntries([...section.querySelectorAll("[data-chart]")].map((e) => [e.dataset.chart, e]));
  const PARTS = ["served", "waiting", "expired", "ready", "loading"], opened = new Map();
  const open = (name) => {  // each schedule once, when it is first chosen
    const data = report.schedules[name];
    if (!opened.has(name)) opened.set(name, { moved: data.moved, ...Object.fromEntries(PARTS.map((part) => [part, unpacked(data[part])])) });
    return opened.get(name);
  };
  report.arrivals = unpacked(report.arrivals);
  fill(field("schedule"), Object.keys(report.schedules), false);
  fill(field("region"), report.regions, true);
  fill(field("class"), report.classes, true);
  field("slot").max = report.slots - 1;
  const chosen = (name) => (field(name).value === ALL ? ALL : Number(field(name).value));
  const slots = Array.from({ length: report.slots }, (_, t) => t);
  const settings = { displaylogo: false, responsive: true };

  function draw() {
    const name = Object.keys(report.schedules)[chosen("schedule")], data = open(name);
    const region = chosen("region"), kind = chosen("class"), slot = Number(field("slot").value);
    const classes = report.classes.length, models = report.models.length;
    const line = (label, y, color, dash) => ({ x: slots, y, name: label, mode: "lines", line: { color, dash, shape: "hv", width: 1.5 } });
    const requests = ["served", "waiting", "expired"].map((part, at) =>
      line(part, series(data[part], report, classes, region, kind), COLORS[[2, 1, 5][at]], ["solid", "dash", "dot"][at]));
    const arrive = line("arrive", series(report.arrivals, report, classes, region, kind), COLORS[0], "solid");
    const where = region === ALL ? "all regions" : plain(report.regions[region]);
    Plotly.react(charts.requests, [arrive, ...requests], layout(report, `Requests, ${where}`, slot), settings);
    const stacked = report.models.map((model, m) => ({
      x: slots, y: series(data.ready, report, models, region, m), name: plain(model), mode: "lines",
      stackgroup: "on", line: { color: COLORS[m % COLORS.length], shape: "hv", width: 0.5 } }));
    stacked.push({ x: slots, y: series(data.loading, report, models, region, ALL), name: "loading", mode: "lines",
      stackgroup: "on", line: { color: COLORS[7], shape: "hv", width: 0.5 } });
    Plotly.react(charts.servers, stacked, layout(report, `Servers on, ${where}`, slot), settings);
    describe(name, data, slot, kind);
  }

  function describe(name, data, slot, kind) {
    field("at").textContent = slot;
    const table = section.querySelector("table.slot"), regions = report.regions.length;
    const head = document.createElement("tr"), titles = ["region", "arrive", "served", "waiting", "expired", "ready", "loading"];
    titles.forEach((title) => { const cell = document.createElement("th"); cell.scope = "col"; cell.textContent = title; head.append(cell); });
    const rows = report.regions.map((region, r) => {
      const row = document.createElement("tr"), header = document.createElement("th");
      header.scope = "row"; header.textContent = region; row.append(header);
      const at = (flat, kinds, only) => {
        let sum = 0;
        for (let k = 0; k < kinds; k++) if (only === ALL || k === only) sum += flat[(slot * regions + r) * kinds + k];
        return sum;
      };
      const C = report.classes.length, M = report.models.length;
      [at(report.arrivals, C, kind), at(data.served, C, kind), at(data.waiting, C, kind), at(data.expired, C, kind),
        at(data.ready, M, ALL), at(data.loading, M, ALL)].forEach((value) => {
        const cell = document.createElement("td"); cell.textContent = value.toLocaleString("en"); row.append(cell); });
      return row;
    });
    table.tHead.replaceChildren(head);
    table.tBodies[0].replaceChildren(...rows);
    table.caption.textContent = `${name}, slot ${slot}`;
    const moves = data.moved[slot], texts = [];
    for (let k = 0; k < moves.length; k += 3) texts.push(`${report.regions[moves[k]]} → ${report.regions[moves[k + 1]]} ${moves[k + 2]}`);
    const rest = report.left_out.length ? ` Not in this explorer, for its size: ${report.left_out.join(", ")}.` : "";
    section.querySelector(".moves").textContent =
      (texts.length ? `Largest flows between regions: ${texts.join(", ")}.` : "Every request is served where it arises.") + rest;
  }

  form.addEventListener("input", draw);
  form.addEventListener("submit", (event) => event.preventDefault());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
}

document.querySelectorAll(".explorer").forEach((section) => {
  const position = [...document.querySelectorAll(".explorer")].indexOf(section);
  explore(section, REPORTS[position]);
});
