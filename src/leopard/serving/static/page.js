// The page: files on the left, questions on the right, everything of this tab in its session.

import * as api from "./api.js";
import { Gallery } from "./gallery.js";

const find = (id) => document.getElementById(id);
const STATE = "leopard-state";
const THEME = "leopard-theme";

const state = { files: [], wanted: "", turns: [], ...JSON.parse(sessionStorage.getItem(STATE) ?? "{}") };
const gallery = new Gallery(find("pages"), find("budget"));
let model = "";
let running = null;

function save() {
  sessionStorage.setItem(STATE, JSON.stringify(state));
  find("download").disabled = find("clear").disabled = !state.turns.length;
  find("nothing").hidden = state.turns.length > 0;
}

function complain(error) {
  find("error").textContent = error ? error.message : "";
  find("error").hidden = !error;
}

/** Do something that may fail; the failure is shown and told. */
async function attempt(work) {
  complain(null);
  try {
    await work();
  } catch (error) {
    complain(error);
  }
}

// --- Documents -----------------------------------------------------------------------------

function listFiles() {
  const items = state.files.map((file) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "✕";
    button.setAttribute("aria-label", `Remove ${file.name}`);
    button.addEventListener("click", () => attempt(() => removeFile(file)));
    item.append(`${file.name} (${file.pages})`, button);
    item.title = file.pages === 1 ? "1 page" : `${file.pages} pages`;
    return item;
  });
  find("file-list").replaceChildren(...items);
  find("page-options").hidden = !state.files.length;
}

async function showPages() {
  listFiles();
  save();
  await gallery.show(state.files, state.wanted);
}

async function addFiles(files) {
  const failures = [];
  for (const file of files) {
    find("budget").textContent = `Uploading ${file.name} ...`;
    try {
      const stored = await api.upload(file);
      state.files.push({ id: stored.id, name: stored.filename, pages: stored.num_pages });
    } catch (error) {
      failures.push(error.message);
    }
  }
  await showPages();
  if (failures.length) throw new Error(failures.join("\n"));
}

async function removeFile(file) {
  state.files = state.files.filter((other) => other !== file);
  const removal = api.remove(file.id).catch(() => {}); // it may have expired
  find("files").focus();
  await showPages();
  await removal;
}

// --- Questions -----------------------------------------------------------------------------

function addTurn(turn) {
  const article = find("turn-template").content.cloneNode(true).firstElementChild;
  article.querySelector("h3").textContent = turn.question;
  const names = turn.files.map((file) => file.name).join(", ");
  article.querySelector(".about").textContent = names + (turn.pages ? `, pages ${turn.pages}` : "");
  article.querySelector(".copy").addEventListener("click", (event) => copy(turn, event.target));
  find("turns").append(article);
  fill(article, turn);
  return article;
}

function fill(article, turn) {
  article.querySelector(".answer").textContent = turn.error ?? turn.answer;
  article.classList.toggle("is-bad", Boolean(turn.error));
  article.querySelector(".meta").textContent = describe(turn);
  article.querySelector(".copy").hidden = !turn.answer;
}

function describe(turn) {
  const parts = [];
  if (turn.reason === "length") parts.push("cut at the most tokens");
  if (turn.reason === "stopped") parts.push("stopped");
  if (turn.usage) {
    const visual = turn.usage.prompt_tokens_details.visual_tokens;
    parts.push(`${visual} visual tokens, ${turn.usage.completion_tokens} new tokens`);
  }
  if (turn.seconds) parts.push(`${turn.seconds.toFixed(1)} s`);
  return parts.join(" · ");
}

async function copy(turn, button) {
  await attempt(async () => {
    await navigator.clipboard.writeText(turn.answer);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy answer"), 2000);
  });
}

async function askQuestion() {
  const question = find("question").value.trim();
  if (!question || running) return;
  complain(null);
  running = new AbortController();
  setBusy(true);
  const files = [...state.files];
  const turn = { question, files, pages: state.wanted, model, answer: "", asked_at: new Date().toISOString() };
  const article = addTurn(turn);
  find("nothing").hidden = true;
  article.classList.add("is-running");
  const start = performance.now();
  const maxTokens = Number(find("max-tokens").value) || 256;
  try {
    const given = { model, files, wanted: state.wanted, question, maxTokens };
    for await (const piece of api.ask(given, running.signal)) {
      if (piece.text) turn.answer += piece.text;
      if (piece.reason) turn.reason = piece.reason;
      if (piece.usage) turn.usage = piece.usage;
      fill(article, turn);
      find("turns").scrollTop = find("turns").scrollHeight;
    }
    find("question").value = "";
  } catch (error) {
    if (error.name === "AbortError") turn.reason = "stopped";
    else turn.error = error.message;
  }
  turn.seconds = (performance.now() - start) / 1000;
  article.classList.remove("is-running");
  fill(article, turn);
  state.turns.push(turn);
  running = null;
  setBusy(false);
  save();
  find("question").focus();
}

function setBusy(busy) {
  find("send").disabled = busy;
  find("stop").hidden = !busy;
  find("turns").setAttribute("aria-busy", String(busy));
}

function download() {
  const data = { format: "leopard questions", version: 1, turns: state.turns };
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(data, null, 2)], { type: "application/json" }));
  link.download = "leopard.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function clear() {
  state.turns = [];
  find("turns").querySelectorAll(".turn").forEach((turn) => turn.remove());
  save();
  find("question").focus();
}

// --- Events --------------------------------------------------------------------------------

function listen() {
  find("files").addEventListener("change", (event) => {
    const files = [...event.target.files];
    event.target.value = "";
    attempt(() => addFiles(files));
  });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("is-dropping");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("is-dropping");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("is-dropping");
    attempt(() => addFiles([...event.dataTransfer.files]));
  });
  document.addEventListener("paste", (event) => {
    const files = [...event.clipboardData.files];
    if (!files.length) return;
    event.preventDefault();
    attempt(() => addFiles(files));
  });
  find("wanted").addEventListener("change", (event) => {
    state.wanted = event.target.value.trim();
    attempt(showPages);
  });
  find("show-tiles").addEventListener("change", (event) => {
    find("pages").classList.toggle("hide-tiles", !event.target.checked);
  });
  find("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    askQuestion();
  });
  find("question").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      find("ask").requestSubmit();
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") running?.abort();
  });
  find("stop").addEventListener("click", () => running?.abort());
  find("download").addEventListener("click", download);
  find("clear").addEventListener("click", clear);
  find("theme").addEventListener("change", (event) => setTheme(event.target.value));
}

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  localStorage.setItem(THEME, theme);
  find("theme").value = theme;
}

function keyFromPerson() {
  const dialog = find("key-dialog");
  find("key").value = "";
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(find("key").value.trim() || null), { once: true });
    if (!dialog.open) dialog.showModal();
  });
}

async function start() {
  setTheme(localStorage.getItem(THEME) ?? "");
  api.onKeyNeeded(keyFromPerson);
  listen();
  find("wanted").value = state.wanted;
  state.turns.forEach(addTurn);
  save();
  model = await api.modelName();
  find("model").textContent = model;
  document.title = `Leopard: ${model}`;
  await showPages();
}

attempt(start);
