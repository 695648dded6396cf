"use strict";
// The list of episodes: sorted, filtered and shown in parts; videos are played from data inside this page.
const data = JSON.parse(document.getElementById("data").textContent);
const videos = JSON.parse(document.getElementById("videos").textContent);
const body = document.querySelector("#episodes tbody");
const heads = [...document.querySelectorAll("#episodes th[data-column]")];
const fields = { text: document.getElementById("find"), suite: document.getElementById("suite"),
  run: document.getElementById("run"), outcome: document.getElementById("outcome") };
const state = { column: 0, down: false, shown: 100 };

const names = data.columns;
const at = Object.fromEntries(names.map((name, index) => [name, index]));

function matching() {
  const words = fields.text.value.toLowerCase().split(/\s+/).filter(Boolean);
  return data.episodes.filter(row =>
    (!fields.suite.value || row[at.suite] === fields.suite.value) &&
    (!fields.run.value || row[at.run] === fields.run.value) &&
    (!fields.outcome.value || row[at.outcome] === fields.outcome.value) &&
    words.every(word => row.join(" ").toLowerCase().includes(word)));
}

function sorted(rows) {
  const column = state.column, sign = state.down ? -1 : 1;
  return rows.sort((a, b) => sign * (typeof a[column] === "number" ? a[column] - b[column]
    : String(a[column]).localeCompare(String(b[column]), undefined, { numeric: true })));
}

function render() {
  const rows = sorted(matching());
  body.replaceChildren(...rows.slice(0, state.shown).map(line));
  document.getElementById("count").textContent = `${Math.min(state.shown, rows.length)} of ${rows.length} episodes`;
  document.getElementById("more").hidden = rows.length <= state.shown;
  heads.forEach((head, index) => {
    if (index === state.column) head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  });
}

function line(row) {
  const tr = document.createElement("tr");
  heads.forEach((head, index) => {
    const td = tr.insertCell();
    td.textContent = row[index];
    td.className = head.className;
    if (index === at.outcome) td.classList.add(row[index]);
  });
  const button = document.createElement("button");
  button.textContent = videos[row[at.video]] ? "▶" : "…";
  button.title = videos[row[at.video]] ? "play" : "render command";
  button.addEventListener("click", () => show(row));
  tr.insertCell().append(button);
  return tr;
}

function show(row) {
  const dialog = document.getElementById("video"), source = videos[row[at.video]];
  const place = dialog.querySelector("div");
  document.getElementById("video-title").textContent = `${row[at.key]} (${row[at.outcome]})`;
  place.replaceChildren();
  if (source && source.startsWith("data:image/")) {
    const image = document.createElement("img");
    image.src = source;
    place.append(image);
  } else if (source) {
    const video = document.createElement("video");
    Object.assign(video, { src: source, controls: true, muted: true, autoplay: true, loop: true });
    place.append(video);
  } else {
    const pre = document.createElement("pre");
    pre.textContent = `nora-bench replay ${data.folders[row[at.run]]} '${row[at.key]}' --video episode.mp4`;
    place.append("No video. Render one with", pre);
  }
  dialog.showModal();
}

document.querySelectorAll("[data-video]").forEach(element => { element.src = videos[element.dataset.video]; });
heads.forEach((head, index) => head.addEventListener("click", () => {
  state.down = state.column === index && !state.down;
  state.column = index;
  render();
}));
Object.values(fields).forEach(field => field.addEventListener("input", () => { state.shown = 100; render(); }));
document.getElementById("more").addEventListener("click", () => { state.shown += 500; render(); });
render();
