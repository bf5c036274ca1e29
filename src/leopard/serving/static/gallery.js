// Draws the pages with the crops that the model is shown. Knows nothing of questions.

import * as api from "./api.js";

const SVG = "http://www.w3.org/2000/svg";

/** Shows pages in a list; `show` replaces them, the newest call wins. */
export class Gallery {
  constructor(list, budget) {
    this.list = list;
    this.budget = budget;
    this.urls = [];
    this.running = null;
  }

  async show(files, wanted) {
    this.running?.abort();
    const running = (this.running = new AbortController());
    this.#clear();
    if (!files.length) return;
    this.budget.textContent = "Reading pages ...";
    try {
      const view = await api.listPages(files, wanted, running.signal);
      this.budget.textContent = summary(view);
      const figures = view.pages.map((page) => this.#add(page));
      for (const [index, figure] of figures.entries()) {
        const url = await api.pictureUrl(index + 1, files, wanted, running.signal);
        this.urls.push(url);
        figure.querySelector("img").src = url;
      }
    } catch (error) {
      if (error.name === "AbortError") return;
      if (running === this.running) this.budget.textContent = "";
      throw error;
    }
  }

  #clear() {
    this.urls.forEach((url) => URL.revokeObjectURL(url));
    this.urls = [];
    this.list.replaceChildren();
    this.budget.textContent = "";
  }

  #add(page) {
    const item = document.createElement("li");
    const figure = document.createElement("figure");
    const picture = document.createElement("div");
    picture.className = "picture";
    const image = document.createElement("img");
    image.alt = page.label;
    image.width = page.width;
    image.height = page.height;
    picture.append(image, tiles(page));
    const caption = document.createElement("figcaption");
    const share = document.createElement("meter");
    share.max = 1;
    share.value = page.share;
    share.setAttribute("aria-label", `Share of visual tokens: ${percent(page.share)}`);
    const label = document.createElement("strong");
    label.textContent = page.label;
    caption.append(label, document.createElement("br"), describe(page), share);
    figure.append(picture, caption);
    item.append(figure);
    this.list.append(item);
    return figure;
  }
}

function tiles(page) {
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", `0 0 ${page.width} ${page.height}`);
  drawing.setAttribute("aria-hidden", "true");
  for (const tile of page.tiles) {
    const box = document.createElementNS(SVG, "rect");
    box.setAttribute("x", tile.left * page.width);
    box.setAttribute("y", tile.top * page.height);
    box.setAttribute("width", (tile.right - tile.left) * page.width);
    box.setAttribute("height", (tile.bottom - tile.top) * page.height);
    drawing.append(box);
  }
  return drawing;
}

function describe(page) {
  if (!page.crops) return "left out: too many pages";
  const grid = page.tiles.length
    ? `${page.rows} × ${page.cols} tiles and a thumbnail`
    : "thumbnail only";
  const tokens = page.visual_tokens.toLocaleString("en");
  return `${grid}, ${tokens} visual tokens, ${percent(page.share)}`;
}

function summary(view) {
  const pages = view.pages.length === 1 ? "1 page" : `${view.pages.length} pages`;
  const crops = view.max_crops ? `${view.crops} of ${view.max_crops} crops` : `${view.crops} crops`;
  return `${pages}, ${crops}, ${view.visual_tokens.toLocaleString("en")} visual tokens`;
}

function percent(share) {
  return `${Math.round(100 * share)} %`;
}
