"use strict";
const data = JSON.parse(document.getElementById("data").textContent);

// The confusion matrix: shares of rows or columns, of any of the results.
const heat = document.querySelector(".heat");
function paintMatrix() {
  const byRow = document.querySelector("#normalised :checked").value === "row";
  const chosen = document.querySelector("#matrix :checked");
  const counts = data.matrices[chosen ? Number(chosen.value) : data.matrices.length - 1];
  const sums = counts.map((row, i) => byRow ? row.reduce((a, b) => a + b, 0) : counts.reduce((a, r) => a + r[i], 0));
  [...heat.tBodies[0].rows].forEach((row, i) => [...row.querySelectorAll("td")].forEach((cell, j) => {
    const share = counts[i][j] / (sums[byRow ? i : j] || 1);
    cell.style.setProperty("--share", `${Math.round(100 * Math.sqrt(share))}%`);  // the root makes small confusions visible
    cell.classList.toggle("strong", share > 0.45);
    cell.textContent = heat.dataset.numbered === "1" && share >= 0.005 ? (100 * share).toFixed(0) : "";
    cell.title = `${data.classes[i]} taken for ${data.classes[j]}: ${(100 * share).toFixed(2)} % of the ` +
      `${byRow ? data.classes[i] : "pixels taken for " + data.classes[j]}, ${counts[i][j].toLocaleString("en")} pixels`;
  }));
}
document.querySelectorAll("#normalised, #matrix").forEach(choice => choice.addEventListener("change", paintMatrix));
paintMatrix();

document.querySelectorAll(".copy").forEach(button => button.addEventListener("click", () => {
  const text = button.closest(".card").querySelector("pre");
  getSelection().selectAllChildren(text);
  if (document.execCommand("copy")) button.textContent = "Copied";  // the clipboard interface is closed to pages from files
}));

// The pictures: layers that slide into each other, sorted and chosen.
const gallery = document.querySelector(".gallery");
if (gallery) {
  const tools = document.getElementById("tools");
  const cards = [...gallery.children].map(element => {
    const facts = JSON.parse(element.dataset.facts);
    return {element, ...facts, name: element.dataset.name, slider: element.querySelector("input")};
  });
  const show = card => {
    const value = Number(card.slider.value), below = Math.floor(value), part = value - below;
    const blend = tools.blend.checked && !tools.beside.checked;
    card.element.querySelectorAll(".layer").forEach((layer, i) => {
      let opacity = tools.beside.checked ? 1 : i === below ? 1 : i === below + 1 ? part : 0;
      if (blend) opacity = i === 0 ? 1 : 0.6 * (i === below ? 1 - part : i === below + 1 ? part : 0);
      layer.style.opacity = opacity;
      layer.style.visibility = opacity ? "visible" : "hidden";
    });
    card.element.querySelectorAll(".stops button").forEach((stop, i) => stop.setAttribute("aria-pressed", i === Math.round(value)));
  };
  const set = (card, value) => { card.slider.value = value; show(card); };

  const arrange = () => {
    const kind = tools.class.value, reason = tools.reason ? tools.reason.value : "", part = tools.name.value.toLowerCase();
    const scores = card => kind === "" ? card.scores : card.classes[kind];
    const visible = cards.filter(card => scores(card) && (!reason || card.reasons.includes(reason)) &&
      card.name.toLowerCase().includes(part));
    const last = card => scores(card).at(-1), gain = card => last(card) - scores(card)[0];
    const unknown = card => last(card) === null;
    const before = {
      worst: (a, b) => last(a) - last(b), best: (a, b) => last(b) - last(a),
      changed: (a, b) => Math.abs(gain(b)) - Math.abs(gain(a)),
      gained: (a, b) => gain(b) - gain(a), lost: (a, b) => gain(a) - gain(b),
      order: () => 0, name: (a, b) => a.name.localeCompare(b.name, "en", {numeric: true}),
    }[tools.sort.value];
    const byScore = !["order", "name"].includes(tools.sort.value);
    visible.sort((a, b) => (byScore && unknown(a) - unknown(b)) || before(a, b) || a.order - b.order);
    cards.forEach(card => { card.element.hidden = true; });
    visible.forEach(card => { card.element.hidden = false; });
    gallery.append(...visible.map(card => card.element));
    document.getElementById("count").textContent = `${visible.length} of ${cards.length} pictures` +
      (kind === "" ? "" : ` with ${data.classes[kind]}, by its IoU in each`);
  };

  tools.addEventListener("submit", event => event.preventDefault());
  tools.addEventListener("input", event => {
    if (event.target.name === "layer") cards.forEach(card => set(card, event.target.value));
    else if (event.target.name === "blend") cards.forEach(show);
    else if (event.target.name === "beside") {
      gallery.classList.toggle("sliding", !tools.beside.checked);
      cards.forEach(show);
    } else arrange();
  });
  cards.forEach(card => {
    card.slider.addEventListener("input", () => show(card));
    card.element.querySelectorAll(".stops button").forEach((stop, i) => stop.addEventListener("click", () => set(card, i)));
    card.element.querySelector(".maps").addEventListener("click", () => tools.beside.checked ||
      set(card, (Math.round(Number(card.slider.value)) + 1) % (Number(card.slider.max) + 1)));
  });
  document.querySelectorAll("button[data-class]").forEach(button => button.addEventListener("click", () => {
    tools.class.value = button.dataset.class;
    arrange();
    document.getElementById("pictures").scrollIntoView();
  }));
  document.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input[type=search], select")) return;
    if (event.key === "/") {
      event.preventDefault();
      tools.name.focus();
    } else if (event.key === "j" || event.key === "k") {
      const shown = [...gallery.children].filter(element => !element.hidden);
      const at = shown.indexOf(document.activeElement.closest(".gallery > .item"));
      const next = shown[Math.max(0, Math.min(shown.length - 1, at < 0 ? 0 : at + (event.key === "j" ? 1 : -1)))];
      if (!next) return;
      const slider = next.querySelector("input");
      (tools.beside.checked ? (next.tabIndex = -1, next) : slider).focus({preventScroll: true});
      next.scrollIntoView({block: "nearest"});
    } else if ((event.key === "ArrowLeft" || event.key === "ArrowRight") && event.target.matches(".slide input")) {
      event.preventDefault();  // whole layers, not the slider's fine steps
      const card = cards.find(one => one.slider === event.target), value = Number(card.slider.value);
      set(card, Math.max(0, Math.min(Number(card.slider.max),
        event.key === "ArrowLeft" ? Math.ceil(value) - 1 : Math.floor(value) + 1)));
    }
  });
  document.querySelectorAll("[data-of]").forEach(maps => {  // failures show pictures that stand in the page once
    document.getElementById(maps.dataset.of).querySelectorAll(".layer").forEach(layer => maps.append(layer.cloneNode(true)));
    maps.querySelectorAll(".layer").forEach(layer => layer.classList.remove("layer"));
  });
  tools.hidden = false;
  gallery.classList.add("sliding");
  cards.forEach(show);
  arrange();
}
